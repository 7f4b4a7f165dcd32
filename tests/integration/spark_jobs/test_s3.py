"""The job on S3: what it publishes, and what a bucket that says no leaves behind."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bigdata.storage import dataset
from bigdata.storage.objects import ObjectStore

from .conftest import DATA, GOOD, Run
from .gateway import Gateway, gateway

pytestmark = pytest.mark.integration

Csv = Callable[..., Path]
WRITES = ("PUT", "POST", "DELETE")


def point(spark: SparkSession, bucket: str, endpoint: str) -> None:
    """Have S3A find a bucket at an endpoint."""
    spark._jsc.hadoopConfiguration().set(f"fs.s3a.bucket.{bucket}.endpoint", endpoint)


@pytest.fixture
def bucket(store: ObjectStore, spark: SparkSession) -> str:
    name = f"curated-{uuid.uuid4().hex[:8]}"
    store.client().create_bucket(Bucket=name)
    point(spark, name, store.endpoint_url)
    return name


@pytest.fixture
def proxy(store: ObjectStore, spark: SparkSession, bucket: str) -> Iterator[Gateway]:
    """A proxy before `bucket`, as the job sees it."""
    with gateway(store.endpoint_url) as rules:
        point(spark, bucket, rules.url)
        yield rules


def keys(store: ObjectStore, bucket: str) -> list[str]:
    """All objects of a bucket; folder markers are none."""
    listed = store.client().list_objects_v2(Bucket=bucket).get("Contents", [])
    return [item["Key"] for item in listed if not item["Key"].endswith("/")]


def test_from_bucket_to_bucket(run: Run, store: ObjectStore, bucket: str) -> None:
    store.client().upload_file(str(DATA), bucket, "titanic/titanic.csv")

    result = run(f"s3a://{bucket}/titanic/titanic.csv", f"s3a://{bucket}/out").result

    published = dataset.current(store.filesystem(), f"{bucket}/out")
    rows = sum(batch.num_rows for batch in dataset.batches(store.filesystem(), published.passengers_path))
    assert (published.version, published.rows_in, published.rows_out, rows) == (result["version"], 891, 891, 891)
    assert dataset.dataset(store.filesystem(), published.rejects_path).count_rows() == 0
    assert not [key for key in keys(store, bucket) if "_temporary" in key]


def test_readers_see_one_whole_version_while_runs_replace_it(
    run: Run, store: ObjectStore, bucket: str, csv: Csv
) -> None:
    twice = csv(*DATA.read_text().splitlines()[1:], *[GOOD] * 891)
    run(DATA, f"s3a://{bucket}/out")
    seen: list[tuple[int, int]] = []
    problems: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        fs = store.filesystem()
        while not done.is_set():
            try:
                published = dataset.current(fs, f"{bucket}/out")
                rows = sum(batch.num_rows for batch in dataset.batches(fs, published.passengers_path))
                seen.append((published.rows_out, rows))
            except BaseException as error:
                problems.append(error)
            done.wait(0.05)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    results = [run(source, f"s3a://{bucket}/out").result for source in (twice, DATA)]
    done.set()
    for reader in readers:
        reader.join()

    assert [result["rows_out"] for result in results] == [1782, 891]
    assert problems == []
    assert set(seen) == {(891, 891), (1782, 1782)}


@pytest.mark.parametrize("path", ["", "/versions", "/_current.json"], ids=["all", "data", "pointer"])
def test_a_bucket_that_may_not_be_written(
    run: Run, store: ObjectStore, bucket: str, proxy: Gateway, csv: Csv, path: str
) -> None:
    old = run(DATA, f"s3a://{bucket}/out").result
    before = keys(store, bucket)
    proxy.deny = lambda method, where: method in ("PUT", "POST") and where.startswith(f"/{bucket}/out{path}")

    error = run(csv(GOOD), f"s3a://{bucket}/out").error

    assert error.startswith(f"s3a://{bucket}/out")
    assert "access denied: check the credentials in the environment and the bucket's policy" in error
    assert keys(store, bucket) == before
    assert dataset.current(store.filesystem(), f"{bucket}/out").version == old["version"]


def test_a_bucket_that_may_not_be_read(
    run: Run, store: ObjectStore, bucket: str, proxy: Gateway, tmp_path: Path
) -> None:
    store.client().upload_file(str(DATA), bucket, "titanic.csv")
    proxy.deny = lambda method, where: method == "GET"

    error = run(f"s3a://{bucket}/titanic.csv", tmp_path / "out").error

    assert error.startswith(f"s3a://{bucket}/titanic.csv: access denied")


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_bucket_that_does_not_exist(
    run: Run, spark: SparkSession, store: ObjectStore, tmp_path: Path, side: str
) -> None:
    name = f"nowhere-{uuid.uuid4().hex[:8]}"
    point(spark, name, store.endpoint_url)
    ends = (f"s3a://{name}/titanic", tmp_path / "out") if side == "input" else (DATA, f"s3a://{name}/titanic")

    error = run(*ends).error

    assert error.startswith(f"s3a://{name}/titanic")
    assert "the bucket does not exist: create it, or check its name" in error


def test_a_source_that_does_not_exist(run: Run, bucket: str, tmp_path: Path) -> None:
    error = run(f"s3a://{bucket}/titanic.csv", tmp_path / "out").error

    assert error == f"s3a://{bucket}/titanic.csv: does not exist, or holds no files"


def test_a_store_that_is_down(run: Run, spark: SparkSession, tmp_path: Path) -> None:
    point(spark, "down", "http://127.0.0.1:1")

    error = run("s3a://down/titanic.csv", tmp_path / "out").error

    assert error.startswith(
        "s3a://down/titanic.csv: the store does not answer: check fs.s3a.endpoint, and that it runs"
    )


def test_a_pointer_that_was_written_counts_even_if_the_answer_is_lost(
    run: Run, store: ObjectStore, bucket: str, proxy: Gateway, csv: Csv
) -> None:
    run(DATA, f"s3a://{bucket}/out")
    proxy.lose_answer = lambda method, where: method == "PUT" and where.startswith(f"/{bucket}/out/_current.json")

    result = run(csv(GOOD), f"s3a://{bucket}/out").result

    published = dataset.current(store.filesystem(), f"{bucket}/out")
    assert (published.version, published.rows_out) == (result["version"], 1)
    assert dataset.dataset(store.filesystem(), published.passengers_path).count_rows() == 1


def test_old_versions_that_cannot_be_removed_do_not_fail_the_job(
    run: Run, store: ObjectStore, bucket: str, proxy: Gateway
) -> None:
    for _ in range(2):
        run(DATA, f"s3a://{bucket}/out")
    proxy.deny = lambda method, where: (method == "DELETE" or "delete" in where) and proxy_published(proxy, bucket)

    outcome = run(DATA, f"s3a://{bucket}/out")

    assert outcome.result["rows_out"] == 891
    assert [line for line in outcome.out if "could not remove old versions" in line]


def proxy_published(proxy: Gateway, bucket: str) -> bool:
    """Whether the third pointer is written."""
    return sum(seen[0] == "PUT" and seen[1].startswith(f"/{bucket}/out/_current.json") for seen in proxy.seen) == 3
