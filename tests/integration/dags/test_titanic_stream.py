"""titanic_stream on real Kafka, S3 and Spark: what is there, what comes while it runs, and no topic at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.produce import produce
from bigdata.kafka.records import Record
from bigdata.kafka.topics import ensure_topic
from bigdata.storage import stream
from bigdata.storage.objects import ObjectStore

pytestmark = pytest.mark.integration


def passengers(first: int, count: int) -> Iterator[Record]:
    for number in range(first, first + count):
        row = {"PassengerId": number, "Survived": 1, "Pclass": 2, "Sex": "female", "Age": 14.5}
        yield Record(str(number).encode(), json.dumps(row).encode())


def test_a_topic_is_streamed_and_the_next_run_goes_on(
    run_dag: Callable[..., Any], kafka: KafkaConfig, store: ObjectStore
) -> None:
    names = {"topic": f"test.stream.{uuid4().hex[:8]}", "curated_bucket": f"curated-{uuid4().hex[:8]}"}
    base = f"{names['curated_bucket']}/titanic_stream/{names['topic']}"
    ensure_topic(kafka, names["topic"], 2)
    produce(kafka, names["topic"], [*passengers(1, 40), Record(b"x", b"no passenger")], "first")

    run = run_dag("titanic_stream", **names)
    assert run.state == "success", run.log
    verified = run.xcoms["verify"]
    assert (verified["batches"], verified["rows"], verified["rejects"]) == (1, 40, 1)
    assert sum(verified["counts"].values()) == 41
    assert verified["uri"] == f"s3://{base}"
    assert "Rejected: " in run.log
    assert ": is not JSON" in run.log

    produce(kafka, names["topic"], passengers(41, 20), "second")
    run = run_dag("titanic_stream", mode="continuous", run_seconds=5, trigger_seconds=1, **names)
    assert run.state == "success", run.log
    assert (run.xcoms["verify"]["batches"], run.xcoms["verify"]["rows"]) == (1, 20)

    fs = store.filesystem()
    rows = stream.rows(fs, stream.delivered(fs, base)).to_table().to_pylist()
    assert sorted(row["PassengerId"] for row in rows) == list(range(1, 61))
    assert {(row["topic"], row["Age"]) for row in rows} == {(names["topic"], 14.5)}


def test_without_the_topic_it_says_so_before_spark_starts(run_dag: Callable[..., Any]) -> None:
    run = run_dag("titanic_stream", topic="test.stream.none")
    assert (run.state, run.tasks["prepare"], run.tasks["stream"]) == ("failed", "failed", "upstream_failed")
    assert "topic test.stream.none: 0 records sent, 0 accounted for: the topic does not exist" in run.log
