"""Where the records that a task produces come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any

from bigdata import settings
from bigdata.errors import ConfigError, DataError

#: something to iterate over, or where Parquet is: a path in the project, an s3:// URI, an Asset of one
Source = Iterable[Any] | str | Any


def rows(source: Source, s3_conn_id: str | None = None) -> tuple[Iterable[Any], int]:
    """What to iterate over, and how many items it will give; -1 where nobody knows before.

    :raises ConfigError: nothing of it can be iterated over.
    :raises DataError: there is no Parquet.
    """
    if isinstance(source, str) or hasattr(source, "uri"):
        return _parquet(location(source), s3_conn_id)
    if source is None:
        return (), 0
    if not isinstance(source, Iterable):
        raise ConfigError(f"a source is something to iterate over, a function or a URI; found {type(source).__name__}")
    return source, len(source) if isinstance(source, Sized) else -1


def location(source: Any) -> str:
    """Where the Parquet of a path, a URI or an Asset is."""
    return str(getattr(source, "uri", source))


def _parquet(uri: str, s3_conn_id: str | None) -> tuple[Iterator[dict[str, Any]], int]:
    from bigdata import connections
    from bigdata.storage import dataset

    scheme, _, rest = uri.rpartition("://")
    if scheme in ("s3", "s3a"):
        fs: Any = connections.object_store(s3_conn_id or settings.load().s3_conn_id).filesystem()
        path = rest.rstrip("/")
    elif scheme in ("", "file"):
        from pyarrow.fs import LocalFileSystem

        fs, path = LocalFileSystem(), str(settings.load().project_dir / rest)
    else:
        raise DataError(f"source {uri}: Parquet is read from a path, file:// or s3://")
    if dataset.is_published(fs, path):
        path = dataset.current(fs, path).passengers_path
    count = dataset.count_rows(fs, path)
    return (row for batch in dataset.batches(fs, path) for row in batch.to_pylist()), count
