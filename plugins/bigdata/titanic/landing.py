"""Bring the source file into the raw bucket.

Delivery contract: the source is copied to a local file first and uploaded from there, so an object in the raw bucket is
always a whole source; a second run replaces it in one step.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from bigdata.errors import DataError
from bigdata.storage.objects import ObjectStore, ensure_bucket, put_file, s3_errors, split_uri

log = logging.getLogger(__name__)

KEY = "titanic/titanic.csv"
DOWNLOAD_TIMEOUT = 60


@dataclass(frozen=True)
class Landed:
    """The object in the raw bucket; ``rows`` are its non-blank lines without the header."""

    uri: str
    source: str
    size: int
    rows: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, for an XCom."""
        return asdict(self)


def land(store: ObjectStore, source: str, base_dir: Path, bucket: str) -> Landed:
    """Copy ``source`` to ``s3://<bucket>/titanic/titanic.csv``, with the bucket made if need be.

    :param source: a path (relative to ``base_dir``), or a ``file://``, ``http(s)://`` or ``s3://`` URL.
    :raises DataError: the source cannot be read, or the bucket cannot be written.
    :raises StackError: nothing answers at the store's endpoint.
    """
    with TemporaryDirectory(prefix="landing-") as folder, _local_copy(store, source, base_dir, Path(folder)) as path:
        rows, digest = count_rows(path), _sha256(path)
        ensure_bucket(store, bucket)
        uri = put_file(store, path, bucket, KEY, "text/csv")
        landed = Landed(uri, source, path.stat().st_size, rows, digest)
    log.info("%s landed as %s: %d rows, %d bytes", source, landed.uri, landed.rows, landed.size)
    return landed


def count_rows(path: Path) -> int:
    """Count the lines after the first that are not blank, as Spark's CSV reader sees lines (LF, CRLF or CR)."""
    with path.open(encoding="latin-1", newline=None) as lines:
        return max(0, sum(1 for line in lines if line.strip()) - 1)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _local_copy(store: ObjectStore, source: str, base_dir: Path, folder: Path) -> Iterator[Path]:
    url = urlsplit(source)
    path = folder / "source"
    if url.scheme in ("http", "https"):
        try:
            with urllib.request.urlopen(source, timeout=DOWNLOAD_TIMEOUT) as response, path.open("wb") as file:
                shutil.copyfileobj(response, file)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise DataError(f"source {source} cannot be read: {error}") from error
    elif url.scheme in ("s3", "s3a"):
        with s3_errors(store, f"source {source}"):
            store.client().download_file(*split_uri(source), str(path))
    elif url.scheme in ("", "file"):
        path = base_dir / (unquote(url.path) if url.scheme else source)
        if not path.is_file():
            raise DataError(f"source {path} does not exist" if not path.exists() else f"source {path} is not a file")
    else:
        raise DataError(f"source {source}: {url.scheme}:// is not supported; use a path, file, http, https or s3")
    yield path
