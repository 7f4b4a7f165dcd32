"""The S3 service's folder of buckets, made fit before it starts.

The service writes absolute paths into its metadata and goes by them: in a checkout that was moved it would write to
the old place. It also fails at every request while one bucket's folder is damaged. Both are seen here; repairing
twice does no harm, and the bucket's own path is corrected last, so that a crash in between is repaired by the next
start.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bigdata.errors import StackError
from bigdata.local.files import write_whole

_BUCKET = "bucketMetadata.json"
_OBJECT = "objectMetadata.json"


def repair(root: Path) -> None:
    """Remove buckets that were never finished, and correct the paths of a folder that was moved.

    :raises StackError: naming a bucket whose metadata is lost or unreadable.
    """
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if not (folder / _BUCKET).exists():
            _remove_unfinished(folder)
            continue
        bucket = _read(folder / _BUCKET)
        if _path(bucket.get("path")) != folder:
            _move(folder, bucket)


def _remove_unfinished(folder: Path) -> None:
    """A crash while a bucket was created leaves folders only."""
    if any(path.is_file() for path in folder.rglob("*")):
        raise _damaged(folder, f"has files but no {_BUCKET}")
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    folder.rmdir()


def _move(folder: Path, bucket: dict[str, Any]) -> None:
    for file in folder.glob(f"*/*{_OBJECT}"):
        entry = _read(file)
        if old := _path(entry.get("dataPath")):
            write_whole(file, json.dumps({**entry, "dataPath": (file.parent / old.name).as_uri()}))
    write_whole(folder / _BUCKET, json.dumps({**bucket, "path": folder.as_uri() + "/"}))


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(file.parent, f"{file.name} is not readable: {error}") from None
    if not isinstance(found, dict):
        raise _damaged(file.parent, f"{file.name} is no JSON object")
    return found


def _path(uri: object) -> Path | None:
    return Path(unquote(urlsplit(uri).path)) if isinstance(uri, str) else None


def _damaged(folder: Path, problem: str) -> StackError:
    return StackError("s3", f"{folder} {problem}, so the service cannot run", f"Give its data up: rm -r '{folder}'")
