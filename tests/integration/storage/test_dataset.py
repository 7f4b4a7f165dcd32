"""The reader of published datasets against a real S3 API."""

from __future__ import annotations

import json
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bigdata.errors import DataError
from bigdata.storage import dataset
from bigdata.storage.objects import ObjectStore

pytestmark = pytest.mark.integration


@pytest.fixture
def bucket(store: ObjectStore) -> str:
    name = f"dataset-{uuid.uuid4().hex[:8]}"
    store.client().create_bucket(Bucket=name)
    return name


def test_pointer_and_rows(store: ObjectStore, bucket: str) -> None:
    fs = store.filesystem()
    pointer = {
        "format": 1,
        "version": "run-1",
        "previous": None,
        "created_at": "2026-11-21T07:05:00+00:00",
        "input": "s3a://raw/x.csv",
        "passengers": "versions/run-1/passengers",
        "rejects": "versions/run-1/rejects",
        "rows_in": 3,
        "rows_out": 3,
        "rows_rejected": 0,
    }
    for part in range(3):
        path = f"{bucket}/titanic/versions/run-1/passengers/part-{part}.parquet"
        pq.write_table(pa.table({"PassengerId": [part]}), path, filesystem=fs)
    store.client().put_object(Bucket=bucket, Key="titanic/_current.json", Body=json.dumps(pointer))

    published = dataset.current(fs, f"{bucket}/titanic")

    rows = [row for batch in dataset.batches(fs, published.passengers_path) for row in batch.to_pylist()]
    assert (published.rows_out, rows) == (3, [{"PassengerId": number} for number in range(3)])


def test_nothing_is_published(store: ObjectStore, bucket: str) -> None:
    with pytest.raises(DataError, match=f"{bucket}/titanic/_current.json: nothing is published there"):
        dataset.current(store.filesystem(), f"{bucket}/titanic")


def test_a_bucket_that_does_not_exist(store: ObjectStore) -> None:
    with pytest.raises(DataError, match="nowhere/titanic/_current.json: "):
        dataset.current(store.filesystem(), "nowhere/titanic")


def test_a_version_that_is_gone(store: ObjectStore, bucket: str) -> None:
    with pytest.raises(DataError, match=f"{bucket}/titanic/versions/run-1/passengers: is gone"):
        list(dataset.batches(store.filesystem(), f"{bucket}/titanic/versions/run-1/passengers"))
