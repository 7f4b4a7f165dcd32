"""What a stream delivered, read by its log; here on a plain folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem

from bigdata.errors import DataError
from bigdata.storage import stream

FS = LocalFileSystem()


def deliver(base: Path, number: int, begin: dict[str, int], end: dict[str, int], **changes: Any) -> None:
    """A batch of one row for each offset, as spark_jobs/batch_log.py leaves it."""
    folder = base / "batches" / f"{number:012}-attempt" / "rows"
    folder.mkdir(parents=True)
    places = [(int(part), offset) for part in end for offset in range(begin.get(part, 0), end[part])]
    table = pa.table({"partition": [part for part, _ in places], "offset": [offset for _, offset in places]})
    pq.write_table(table, folder / "part-0.parquet")
    entry = {
        "format": 1, "batch": number, "topic": "t", "from": begin, "to": end, "rows": len(places), "rejects": 0,
        "rows_files": [str(folder.relative_to(base) / "part-0.parquet")], "rejects_files": [], **changes,
    }  # fmt: skip
    (base / "log").mkdir(exist_ok=True)
    (base / "log" / f"{number:012}.json").write_text(json.dumps(entry))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Two batches, a partition that was added between, and a half of a third that nobody delivered."""
    deliver(tmp_path, 0, {"0": 5}, {"0": 8})
    deliver(tmp_path, 1, {"0": 8}, {"0": 9, "1": 2})
    left = tmp_path / "batches" / "000000000002-attempt" / "rows"
    left.mkdir(parents=True)
    (left / "part-0.parquet").write_bytes(b"PAR1 half of it")
    return tmp_path


@pytest.mark.parametrize("slash", ["", "/"])
def test_batches_come_in_order_with_what_they_cover(base: Path, slash: str) -> None:
    first, second = stream.delivered(FS, f"{base}{slash}")
    assert (first.number, first.spans, first.rows) == (0, {0: (5, 8)}, 3)
    assert (second.number, second.spans, second.rows) == (1, {0: (8, 9), 1: (0, 2)}, 3)
    assert [batch.number for batch in stream.delivered(FS, str(base), 1)] == [1]


def test_rows_are_those_of_delivered_batches_and_no_others(base: Path) -> None:
    assert stream.rows(FS, stream.delivered(FS, str(base))).count_rows() == 6


def test_a_stream_that_never_ran_has_no_batches(tmp_path: Path) -> None:
    assert stream.delivered(FS, str(tmp_path)) == []


def test_an_entry_that_is_gone_is_named(base: Path) -> None:
    (base / "log" / "000000000000.json").unlink()
    with pytest.raises(DataError, match="log: the entry of batch 0 is gone, but that of 000000000001.json is there"):
        stream.delivered(FS, str(base))


def test_a_gap_between_batches_is_named(base: Path) -> None:
    deliver(base / "other", 0, {"0": 5}, {"0": 8})
    deliver(base / "other", 1, {"0": 9}, {"0": 12})
    with pytest.raises(DataError, match="batch 1 does not begin where batch 0 ends"):
        stream.delivered(FS, str(base / "other"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is no entry of a batch: JSONDecodeError"),
        ("{}", "is no entry of a batch: KeyError 'format'"),
        ('{"format": 2}', "format is 2, this reader knows 1: update the library"),
        ('{"format": 1, "batch": 0, "topic": "t"}', "is no entry of a batch: KeyError 'from'"),
        ("[]", "is no entry of a batch: TypeError"),
    ],
)
def test_a_damaged_entry_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "000000000000.json").write_text(text)
    with pytest.raises(DataError, match=f"log/000000000000.json: {problem}"):
        stream.delivered(FS, str(tmp_path))
