"""Read what a stream delivered: the entries of its log, and the Parquet that they name.

The writer, spark_jobs/batch_log.py, documents the layout and its delivery contract. A reader gets each batch whole and
once; one that is delivered meanwhile is there or not. Files that no entry names are left over from killed drivers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bigdata.errors import DataError

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset
    from pyarrow.fs import FileSystem

FORMAT = 1
_READERS = 16
_ENTRY = re.compile(r"\d{12}\.json")


@dataclass(frozen=True)
class Batch:
    """One batch that was delivered. The files are named as the file system names them.

    :param begin: partition → offset that it begins at.
    :param end: partition → offset behind its last record.
    """

    number: int
    topic: str
    begin: dict[int, int]
    end: dict[int, int]
    rows: int
    rejects: int
    rows_files: tuple[str, ...]
    rejects_files: tuple[str, ...]

    @property
    def spans(self) -> dict[int, tuple[int, int]]:
        """Partition → first offset, and the one behind the last; one that was added later begins at 0."""
        return {partition: (self.begin.get(partition, 0), end) for partition, end in self.end.items()}


def delivered(fs: FileSystem, base: str, first: int = 0) -> list[Batch]:
    """The batches that are delivered, in order; none if there is no stream yet.

    :param base: the folder the stream writes to, as `fs` names it: ``bucket/prefix`` on S3.
    :param first: number of the first one wanted.
    :raises DataError: an entry is gone or damaged, or two do not fit together.
    """
    from pyarrow.fs import FileSelector

    base = base.rstrip("/")
    listed = fs.get_file_info(FileSelector(f"{base}/log", allow_not_found=True))
    names = sorted(item.base_name for item in listed if _ENTRY.fullmatch(item.base_name))
    for number, name in enumerate(names):
        if int(name.removesuffix(".json")) != number:
            raise DataError(f"{base}/log: the entry of batch {number} is gone, but that of {name} is there")
    with ThreadPoolExecutor(_READERS) as pool:
        batches = list(pool.map(lambda name: _read(fs, base, name), names[first:]))
    for before, after in pairwise(batches):
        if {partition: after.spans[partition][0] for partition in before.end} != before.end:
            raise DataError(f"{base}/log: batch {after.number} does not begin where batch {before.number} ends")
    return batches


def rows(fs: FileSystem, batches: Iterable[Batch]) -> Dataset:
    """Open the rows of batches, for their schema, their contents or a filter."""
    return _dataset(fs, [file for batch in batches for file in batch.rows_files])


def rejects(fs: FileSystem, batches: Iterable[Batch]) -> Dataset:
    """Open the rejected records of batches: topic, partition, offset, timestamp, reason, key, value."""
    return _dataset(fs, [file for batch in batches for file in batch.rejects_files])


def _dataset(fs: FileSystem, files: Sequence[str]) -> Dataset:
    import pyarrow.dataset

    return pyarrow.dataset.dataset(list(files), filesystem=fs, format="parquet")


def _read(fs: FileSystem, base: str, name: str) -> Batch:
    where = f"{base}/log/{name}"
    try:
        with fs.open_input_stream(where) as stream:
            found: dict[str, Any] = json.loads(stream.read())
        if found["format"] != FORMAT:
            raise DataError(f"{where}: format is {found['format']!r}, this reader knows {FORMAT}: update the library")
        return Batch(
            number=found["batch"],
            topic=found["topic"],
            begin={int(partition): offset for partition, offset in found["from"].items()},
            end={int(partition): offset for partition, offset in found["to"].items()},
            rows=found["rows"],
            rejects=found["rejects"],
            rows_files=tuple(f"{base}/{file}" for file in found["rows_files"]),
            rejects_files=tuple(f"{base}/{file}" for file in found["rejects_files"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}: is no entry of a batch: {type(error).__name__} {error}") from None
