"""Read what a Spark job published: the pointer, and the Parquet that it names.

The writer, spark_jobs/publication.py, documents the layout and its delivery contract. A reader gets one version, whole;
it stays for as long as at most one newer version is published meanwhile.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bigdata.errors import DataError

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.dataset import Dataset
    from pyarrow.fs import FileSystem

POINTER = "_current.json"
FORMAT = 1

_ATTEMPTS = 5
_PAUSE = 0.2


@dataclass(frozen=True)
class Published:
    """One version of a dataset. The paths are those of the file system it was found on."""

    version: str
    previous: str | None
    passengers_path: str
    rejects_path: str
    rows_in: int
    rows_out: int
    rows_rejected: int
    input: str
    created_at: datetime


def current(fs: FileSystem, base: str) -> Published:
    """Return the version that readers should read now.

    :param base: the folder it was published to, as `fs` names it: ``bucket/prefix`` on S3.
    :raises DataError: if nothing is published there, or not in a form that this version of the library knows.
    """
    base = base.rstrip("/")
    where = f"{base}/{POINTER}"
    for attempt in range(_ATTEMPTS):
        try:
            return _published(_read(fs, where), base, where)
        except ValueError as error:
            problem = error
            # pyarrow asks for the size first: it gets a part if the pointer is replaced just then. Look again.
            time.sleep(_PAUSE * attempt)
    raise DataError(f"{where}: is no pointer to a dataset: {problem}")


def is_published(fs: FileSystem, base: str) -> bool:
    """Whether a pointer is there, by which :func:`current` finds a version; else the folder may be plain Parquet."""
    from pyarrow.fs import FileType

    return bool(fs.get_file_info(f"{base.rstrip('/')}/{POINTER}").type == FileType.File)


def count_rows(fs: FileSystem, path: str) -> int:
    """How many rows one dataset has, by the files' own footers.

    :raises DataError: it is gone, or was never there.
    """
    try:
        return int(dataset(fs, path).count_rows())
    except FileNotFoundError:
        raise _gone(path) from None


def dataset(fs: FileSystem, path: str) -> Dataset:
    """Open the Parquet of one dataset of a version, for its schema, its rows or a filter.

    :raises DataError: if it is gone because two newer versions were published meanwhile.
    """
    import pyarrow.dataset

    try:
        return pyarrow.dataset.dataset(path, filesystem=fs, format="parquet")
    except FileNotFoundError:
        raise _gone(path) from None


def batches(
    fs: FileSystem, path: str, columns: Sequence[str] | None = None, batch_size: int = 65_536
) -> Iterator[RecordBatch]:
    """Read one dataset of a version batch by batch, so that it need not fit into memory.

    :param path: `Published.passengers_path` or `Published.rejects_path`.
    :param columns: the columns wanted; all if None.
    :param batch_size: rows in a batch, at most.
    :raises DataError: if it is gone because two newer versions were published meanwhile.
    """
    try:
        yield from dataset(fs, path).to_batches(columns=columns, batch_size=batch_size)
    except FileNotFoundError:
        raise _gone(path) from None


def _read(fs: FileSystem, where: str) -> Any:
    try:
        with fs.open_input_stream(where) as stream:
            return json.loads(stream.read())
    except FileNotFoundError:
        raise DataError(f"{where}: nothing is published there: run the job that writes it first") from None
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error}") from None


def _published(pointer: Any, base: str, where: str) -> Published:
    if not isinstance(pointer, dict) or pointer.get("format") != FORMAT:
        found = pointer.get("format") if isinstance(pointer, dict) else pointer
        raise DataError(
            f"{where}: format is {found!r}, this reader knows {FORMAT}: update the library or run the job again"
        )
    try:
        return Published(
            version=pointer["version"],
            previous=pointer["previous"],
            passengers_path=f"{base}/{pointer['passengers']}",
            rejects_path=f"{base}/{pointer['rejects']}",
            rows_in=pointer["rows_in"],
            rows_out=pointer["rows_out"],
            rows_rejected=pointer["rows_rejected"],
            input=pointer["input"],
            created_at=datetime.fromisoformat(pointer["created_at"]),
        )
    except KeyError as error:
        raise DataError(f"{where}: has no field {error}: run the job again") from None


def _gone(path: str) -> DataError:
    return DataError(f"{path}: is gone, as newer versions were published meanwhile: read again from the pointer")
