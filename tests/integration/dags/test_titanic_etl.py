"""The main DAG on real Kafka, S3 and Spark: the real list, and lists that are not as they should be."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.produce import Record
from bigdata.local.stack import Stack
from bigdata.storage import dataset
from bigdata.storage.objects import ObjectStore

pytestmark = pytest.mark.integration
DATA = Path(__file__).parents[3] / "data" / "titanic.csv"
RunDag = Callable[..., Any]


@pytest.fixture
def names() -> dict[str, str]:
    """Buckets and a topic of this test alone."""
    unique = uuid4().hex[:8]
    return {"raw_bucket": f"raw-{unique}", "curated_bucket": f"curated-{unique}", "topic": f"test.titanic.{unique}"}


@pytest.fixture
def source(tmp_path: Path) -> Callable[[bytes], str]:
    """Write a list and tell its path."""

    def write(content: bytes) -> str:
        (tmp_path / "list.csv").write_bytes(content)
        return str(tmp_path / "list.csv")

    return write


def published(store: ObjectStore, names: dict[str, str]) -> dataset.Published:
    return dataset.current(store.filesystem(), f"{names['curated_bucket']}/titanic")


def test_the_real_list_goes_through_every_part(
    run_dag: RunDag, store: ObjectStore, kafka: KafkaConfig, names: dict[str, str]
) -> None:
    run = run_dag("titanic_etl", **names)

    assert set(run.tasks.values()) == {"success"}
    report = run.xcoms["report"]
    assert (report["passengers"], report["survivors"]) == (891, 342)
    assert report["by_sex"] == {"female": 233, "male": 109}
    assert Path(report["plot_file"]).read_bytes().startswith(b"\x89PNG")
    assert run.xcoms["verify"] == {"sent": 891, "found": 891, "others": 0, "read": 891}

    current = published(store, names)
    assert (current.rows_in, current.rows_out, current.rows_rejected) == (891, 891, 0)
    table = dataset.dataset(store.filesystem(), current.passengers_path).to_table()
    assert table.num_rows == 891
    assert str(table.schema.field("Age").type) == "double"
    assert str(table.schema.field("PassengerId").type) == "int32"

    ages: dict[bytes | None, Any] = {}

    def keep(record: Record) -> None:
        ages[record.key] = json.loads(record.value or b"{}")["Age"]

    assert consume(kafka, names["topic"], "another-reader", keep).count == 891
    assert (len(ages), ages[b"1"], ages[b"6"]) == (891, 22.0, None)

    for line in ("passengers  891, of whom 342 survived", names["topic"], current.passengers_path):
        assert line in run.xcoms["summarize"]


def test_a_second_run_replaces_the_dataset_and_verifies_its_own_records(
    run_dag: RunDag, store: ObjectStore, names: dict[str, str], source: Callable[[bytes], str]
) -> None:
    lines = DATA.read_bytes().splitlines(keepends=True)
    first = run_dag("titanic_etl", **names, source=source(b"".join(lines[:101])))
    assert first.xcoms["report"]["passengers"] == 100
    # A row that cannot be read is set aside, and is not the end of the run.
    bad = [
        b"892;1;1;Text in Age;female;abc;0;0;x;1.0;;S\n",
        b"893;1;1;Broken byte \xff;female;30;0;0;x;1.0;;S\n",
        b";".join([b"1"] * 200) + b"\n",
    ]
    second = run_dag("titanic_etl", **names, source=source(b"".join([*lines[:21], *bad])), max_reject_ratio=0.2)

    assert second.xcoms["verify"] == {"sent": 20, "found": 20, "others": 0, "read": 20}
    current = published(store, names)
    assert (current.rows_in, current.rows_out, current.rows_rejected) == (23, 20, 3)
    fs = store.filesystem()
    assert dataset.dataset(fs, current.passengers_path).count_rows() == 20
    rejected = dataset.dataset(fs, current.rejects_path).to_table().to_pylist()
    assert {reject["file"].rpartition("/")[2] for reject in rejected} == {"titanic.csv"}
    assert sorted((reject["row"], reject["reason"]) for reject in rejected) == [
        (22, "Age: 'abc' is not a number"),
        (23, "broken UTF-8 at character 21"),
        (24, "expected 12 columns, found 200"),
    ]


HEADER, FIRST = DATA.read_bytes().splitlines()[:2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (DATA.read_bytes().replace(b";", b","), "is the separator ','?"),
        (HEADER.replace(b";Age", b"") + b"\n" + FIRST, "the header has 11 columns, not the expected 12: missing 'Age'"),
        (HEADER + b";Deck\n" + FIRST + b";C\n", "the header has 13 columns, not the expected 12: unexpected 'Deck'"),
        (b"", "is empty: it must start with a header line"),
        (HEADER + b"\n", "has a header but no rows"),
        (b";".join(b"c%d" % number for number in range(200)), "the header has 200 columns, not the expected 12"),
    ],
    ids=["wrong separator", "missing column", "extra column", "empty file", "header only", "one row of 200 columns"],
)
def test_a_list_spark_cannot_use_fails_transform_with_one_clear_error_and_publishes_nothing(
    run_dag: RunDag,
    store: ObjectStore,
    names: dict[str, str],
    source: Callable[[bytes], str],
    content: bytes,
    message: str,
) -> None:
    run = run_dag("titanic_etl", **names, source=source(content))
    assert (run.tasks["land"], run.tasks["transform"], run.tasks["quality"]) == ("success", "failed", "upstream_failed")
    (error,) = {line for line in run.log.splitlines() if line.startswith("bigdata.errors.ApplicationFailed: ")}
    assert message in error
    # S3A leaves empty objects that stand for folders.
    listed = store.client().list_objects_v2(Bucket=names["curated_bucket"]).get("Contents", [])
    assert [item["Key"] for item in listed if item["Size"]] == []


def test_a_source_that_does_not_exist_fails_land_and_nothing_else_runs(
    run_dag: RunDag, store: ObjectStore, names: dict[str, str]
) -> None:
    run = run_dag("titanic_etl", **names, source="nowhere.csv")
    assert (run.tasks.pop("land"), set(run.tasks.values())) == ("failed", {"upstream_failed"})
    (error,) = {line for line in run.log.splitlines() if line.startswith("bigdata.errors.DataError: ")}
    assert "nowhere.csv does not exist" in error
    assert names["raw_bucket"] not in {bucket["Name"] for bucket in store.client().list_buckets()["Buckets"]}


def test_a_stack_that_is_down_is_named_with_what_to_run(airflow_db: None, stack: Stack, tmp_path: Path) -> None:
    connections = json.loads((stack.state_dir / "connections.json").read_text())
    connections["aws_default"]["extra"]["endpoint_url"] = "http://127.0.0.1:1"
    file = tmp_path / "connections.json"
    file.write_text(json.dumps(connections))
    env = {"AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(file)})}

    command = ["airflow", "dags", "test", "titanic_etl"]
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode != 0
    expected = "s3: nothing answers at http://127.0.0.1:1. The embedded S3 is started by: bigdata local up"
    assert expected in done.stdout + done.stderr
