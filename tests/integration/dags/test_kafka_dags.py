"""The Kafka DAGs on the embedded broker: kafka_smoke, titanic_events, and kafka_triggered by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.storage.objects import ObjectStore, ensure_bucket

from ..kafka.records import Topic

pytestmark = pytest.mark.integration

PASSENGERS = {
    "PassengerId": [1, 2, 3, 4],
    "Survived": [0, 1, 1, 7],
    "Sex": ["male", "female", "female", "male"],
    "Age": [22.0, 38.0, 4.0, None],
    "Pclass": [3, 1, 3, 2],
}


def test_kafka_smoke_says_that_all_is_well(run_dag: Callable[..., Any], kafka: KafkaConfig) -> None:
    topic = f"test.{uuid4().hex[:8]}"
    run = run_dag("kafka_smoke", topic=topic, records=500)
    assert run.state == "success", run.log
    assert run.xcoms["produce"]["sent"] == run.xcoms["consume"]["found"] == 500
    assert run.xcoms["check"] == {"name": topic, "partitions": 9, "replicas": 1, "in_sync": 1, "leaderless": []}
    assert "500 records sent, 500 read back once each" in run.xcoms["report"]
    assert len(Topic(kafka, topic).read()) == 500


def test_kafka_smoke_fails_where_replicas_are_missing(run_dag: Callable[..., Any], kafka: KafkaConfig) -> None:
    from bigdata.errors import DataError
    from bigdata.kafka.topics import ensure_topic
    from bigdata.operators import kafka_checks

    topic = f"test.{uuid4().hex[:8]}"
    ensure_topic(kafka, topic, 2)
    with pytest.raises(DataError, match=f"topic {topic}: 2 of 9 partitions; 1 replicas of 3"):
        kafka_checks.check_replicas(topic, 9, 3)


def test_titanic_events_makes_one_statement_of_each_event(
    run_dag: Callable[..., Any], kafka: KafkaConfig, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On four passengers, one of whom is none, in a bucket of plain Parquet."""
    import pyarrow
    from pyarrow import parquet

    from bigdata.kafka.topics import ensure_topic

    ensure_bucket(store, "test-events")
    parquet.write_table(pyarrow.table(PASSENGERS), "test-events/titanic/part-0.parquet", filesystem=store.filesystem())
    monkeypatch.setattr("bigdata.operators.kafka_source.location", lambda asset: "s3://test-events/titanic")
    ensure_topic(kafka, "titanic.events.dead", 1)
    before = len(Topic(kafka, "titanic.events.dead").read())

    run = run_dag("titanic_events")
    assert run.state == "failed"  # one of four is dead: the events and the statements are not as many
    assert (run.xcoms["judge"]["count"], run.xcoms["judge"]["produced"], run.xcoms["judge"]["dead"]) == (4, 3, 1)
    assert "4 records sent, 3 accounted for" in run.log
    (letter,) = Topic(kafka, "titanic.events.dead").read()[before:]
    assert letter.key == b"4"
    assert b"no passenger" in dict(letter.headers)["dead_letter.reason"]

    parquet.write_table(
        pyarrow.table(PASSENGERS).slice(0, 3), "test-events/titanic/part-0.parquet", filesystem=store.filesystem()
    )
    run = run_dag("titanic_events")
    assert run.state == "success", run.log
    assert run.xcoms["reconcile"] == {"statements": 3, "groups": {"child saved": 1, "man lost": 1, "woman saved": 1}}
    assert "3 passengers sent, 3 read, 3 statements made, 0 dead; 3 found once each" in run.xcoms["report"]


def test_kafka_triggered_by_hand_says_so(run_dag: Callable[..., Any]) -> None:
    run = run_dag("kafka_triggered")
    assert (run.state, run.xcoms["show"]) == ("success", [])
    assert "No message started this run" in run.log
