"""What a job published, read through its pointer; here on a plain folder."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem

from bigdata.errors import DataError
from bigdata.storage.dataset import batches, current, dataset

FS = LocalFileSystem()
POINTER: dict[str, Any] = {
    "format": 1,
    "version": "run-2",
    "previous": "run-1",
    "created_at": "2026-11-21T07:05:00+00:00",
    "passengers": "versions/run-2/passengers",
    "rejects": "versions/run-2/rejects",
    "input": "s3a://raw/titanic.csv",
    "rows_in": 5,
    "rows_out": 4,
    "rows_rejected": 1,
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A published dataset of two files of two rows each, with what Spark leaves beside them."""
    folder = tmp_path / POINTER["passengers"]
    folder.mkdir(parents=True)
    for part in (0, 1):
        table = pa.table({"PassengerId": [part * 2 + 1, part * 2 + 2], "Sex": ["female", "male"]})
        pq.write_table(table, folder / f"part-{part}.snappy.parquet")
    for name in ("_SUCCESS", ".part-0.snappy.parquet.crc"):
        (folder / name).write_bytes(b"")
    (tmp_path / "_current.json").write_text(json.dumps(POINTER))
    return tmp_path


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_pointer(base: Path, slash: str) -> None:
    published = current(FS, f"{base}{slash}")

    assert (published.version, published.previous) == ("run-2", "run-1")
    assert (published.rows_in, published.rows_out, published.rows_rejected) == (5, 4, 1)
    assert published.passengers_path == f"{base}/versions/run-2/passengers"
    assert published.rejects_path == f"{base}/versions/run-2/rejects"
    assert published.created_at == datetime(2026, 11, 21, 7, 5, tzinfo=UTC)


def test_rows_come_in_batches(base: Path) -> None:
    found = list(batches(FS, current(FS, str(base)).passengers_path, ["PassengerId"], batch_size=1))

    assert [batch.num_rows for batch in found] == [1, 1, 1, 1]
    assert [batch.to_pylist() for batch in found] == [[{"PassengerId": number}] for number in (1, 2, 3, 4)]


def test_a_dataset_counts_without_reading_rows(base: Path) -> None:
    opened = dataset(FS, current(FS, str(base)).passengers_path)

    assert (opened.count_rows(), opened.schema.names) == (4, ["PassengerId", "Sex"])


def test_nothing_is_published(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"_current.json: nothing is published there: run the job"):
        current(FS, str(tmp_path))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no pointer to a dataset: Expecting value"),
        ('{"format": 1,', "is no pointer to a dataset: Expecting property name"),
        ("[]", "format is \\[\\], this reader knows 1"),
        (json.dumps(POINTER | {"format": 2}), "format is 2, this reader knows 1"),
        (json.dumps({key: value for key, value in POINTER.items() if key != "rejects"}), "has no field 'rejects'"),
        (json.dumps(POINTER | {"created_at": "soon"}), "is no pointer to a dataset: Invalid isoformat"),
    ],
)
def test_a_pointer_that_cannot_be_read(base: Path, text: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bigdata.storage.dataset._PAUSE", 0.001)
    (base / "_current.json").write_text(text)

    with pytest.raises(DataError, match=f"_current.json: {problem}"):
        current(FS, str(base))


def test_a_pointer_that_is_being_replaced_is_read_again(base: Path) -> None:
    whole = (base / "_current.json").read_text()
    (base / "_current.json").write_text(whole[:50])
    heal = threading.Timer(0.3, (base / "_current.json").write_text, (whole,))
    heal.start()

    assert current(FS, str(base)).version == "run-2"
    heal.join()


def test_a_version_that_was_removed(base: Path) -> None:
    path = current(FS, str(base)).passengers_path
    shutil.rmtree(path)

    with pytest.raises(DataError, match="passengers: is gone, as newer versions were published meanwhile"):
        list(batches(FS, path))


def test_a_version_that_is_removed_while_it_is_read(base: Path) -> None:
    path = Path(current(FS, str(base)).passengers_path)
    for part in range(2, 100):
        shutil.copy(path / "part-0.snappy.parquet", path / f"part-{part}.snappy.parquet")
    rows = batches(FS, str(path))
    next(rows)
    shutil.rmtree(path)

    with pytest.raises(DataError, match="passengers: is gone, as newer versions were published meanwhile"):
        list(rows)
