"""Bring the source file into the raw bucket.

Delivery contract: the source is copied to a local file first and uploaded from there, so an object in the raw bucket is
always a whole source; a second run replaces it in one step.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

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
        landed = Landed(uri, shown(source), path.stat().st_size, rows, digest)
    log.info("%s landed as %s: %d rows, %d bytes", landed.source, landed.uri, landed.rows, landed.size)
    return landed


def count_rows(path: Path) -> int:
    """Count the lines after the first that are not blank, as Spark's CSV reader sees lines (LF, CRLF or CR)."""
    with path.open(encoding="latin-1", newline=None) as lines:
        return max(0, sum(1 for line in lines if line.strip(" \n")) - 1)


def shown(source: str) -> str:
    """The source without what may be secret in a URL: user, password, query."""
    try:
        url = urlsplit(source)
    except ValueError:
        return source.partition("?")[0]
    if not url.netloc:
        return source
    return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _local_copy(store: ObjectStore, source: str, base_dir: Path, folder: Path) -> Iterator[Path]:
    path = folder / "source"
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme in ("http", "https"):
        _download(source, path)
    elif scheme in ("s3", "s3a"):
        with s3_errors(store, f"source {source}"):
            store.client().download_file(*split_uri(source), str(path))
    elif scheme in ("", "file"):
        path = _local_file(source, base_dir)
    else:
        raise DataError(f"source {shown(source)}: {scheme}:// is not supported; use a path, file, http, https or s3")
    yield path


def _download(url: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file)
            announced = response.headers.get("Content-Length")
    except (OSError, HTTPException, ValueError) as error:
        # The error's own text may quote the URL with its credentials.
        why = str(getattr(error, "reason", "")) or type(error).__name__
        code = f"{error.code} " if hasattr(error, "code") else ""
        raise DataError(f"source {shown(url)} cannot be read: {code}{why}") from None
    if announced is not None and int(announced) != path.stat().st_size:
        raise DataError(f"source {shown(url)} was cut off: {path.stat().st_size} bytes of {announced} came")


def _local_file(source: str, base_dir: Path) -> Path:
    path = base_dir / (unquote(urlsplit(source).path) if source.startswith("file://") else source)
    try:
        if path.is_file():
            return path
        problem = "is not a file" if path.exists() else "does not exist"
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise DataError(f"source {str(path)[:500]} {problem}")
