"""titanic_stream on real Kafka, S3 and Spark: what is there, what comes while it runs, and no topic at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow
import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.produce import produce
from bigdata.kafka.records import Record
from bigdata.kafka.topics import ensure_topic
from bigdata.settings import Settings
from bigdata.storage import stream
from bigdata.storage.objects import ObjectStore

from ..kafka import secured

pytestmark = pytest.mark.integration


@pytest.fixture
def names() -> dict[str, str]:
    """A topic and a bucket of this test alone."""
    return {"topic": f"test.stream.{uuid4().hex[:8]}", "curated_bucket": f"curated-{uuid4().hex[:8]}"}


def passengers(count: int) -> Iterator[Record]:
    for number in range(1, count + 1):
        row = {"PassengerId": number, "Survived": 1, "Pclass": 2, "Sex": "female", "Age": 14.5}
        yield Record(str(number).encode(), json.dumps(row).encode())


def streamed(store: ObjectStore, names: dict[str, str]) -> list[dict[str, Any]]:
    """The rows that a reader without Spark finds."""
    fs = store.filesystem()
    batches = stream.delivered(fs, f"{names['curated_bucket']}/titanic_stream/{names['topic']}")
    rows: list[dict[str, Any]] = stream.rows(fs, batches).to_table().sort_by("PassengerId").to_pylist()
    return rows


def test_what_is_there_is_streamed_and_proven(
    run_dag: Callable[..., Any], kafka: KafkaConfig, store: ObjectStore, names: dict[str, str]
) -> None:
    ensure_topic(kafka, names["topic"], 2)
    produce(kafka, names["topic"], [*passengers(40), Record(b"x", b"no passenger")], "delivery")

    run = run_dag("titanic_stream", **names)

    assert run.state == "success", run.log
    verified = run.xcoms["verify"]
    assert (verified["batches"], verified["rows"], verified["rejects"]) == (1, 40, 1)
    assert sum(verified["counts"].values()) == 41
    assert f"Rejected: {names['topic']}[" in run.log
    assert ": is not JSON" in run.log
    rows = streamed(store, names)
    assert [row["PassengerId"] for row in rows] == list(range(1, 41))
    assert {(row["topic"], row["Age"]) for row in rows} == {(names["topic"], 14.5)}


def test_a_continuous_run_by_password_and_tls_ends_by_itself(
    run_dag: Callable[..., Any],
    settings: Settings,
    store: ObjectStore,
    names: dict[str, str],
    jars_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Spark has a user of its own, who may only read. Its password is in no log, no XCom and no page of Spark's."""
    brokers = secured.run(tmp_path, jars_dir)
    broker = next(brokers)
    ensure_topic(broker.plain, names["topic"], 2)
    produce(broker.plain, names["topic"], passengers(20), "delivery")
    broker.grant(secured.SCRAM_USER, names["topic"], "titanic_stream")
    connection = {"conn_type": "kafka", "extra": broker.properties("external")}
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_SECURED", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_PLAIN", f"kafka://?bootstrap.servers={broker.plain.bootstrap_servers}")
    monkeypatch.setenv("AIRFLOW__BIGDATA__KAFKA_CONN_ID", "kafka_plain")

    times = {"mode": "continuous", "run_seconds": 3, "trigger_seconds": 1}
    run = run_dag("titanic_stream", stream_kafka_conn_id="kafka_secured", **times, **names)

    assert run.state == "success", run.log
    assert run.xcoms["verify"]["rows"] == len(streamed(store, names)) == 20
    log = max((settings.state_dir / "spark-events").glob("*/events_1_*.zstd"), key=lambda path: path.stat().st_mtime)
    events = pyarrow.input_stream(log, compression="zstd").read().decode()
    assert "SparkListenerApplicationStart" in events
    for text in (events, run.log, json.dumps(run.xcoms)):
        assert secured.SCRAM_PASSWORD not in text
    brokers.close()


def test_without_the_topic_it_says_so_before_spark_starts(run_dag: Callable[..., Any]) -> None:
    run = run_dag("titanic_stream", topic="test.stream.none")
    assert (run.state, run.tasks["prepare"], run.tasks["stream"]) == ("failed", "failed", "upstream_failed")
    assert "topic test.stream.none: 0 records sent, 0 accounted for: the topic does not exist" in run.log
