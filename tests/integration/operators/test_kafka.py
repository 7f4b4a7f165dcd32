"""The Kafka operators against the embedded broker: their sources, formats, counts, and what a retry does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bigdata.errors import ConfigError, DeliveryError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.records import BadRecord, Record
from bigdata.kafka.topics import ensure_topic
from bigdata.local.stack import Stack
from bigdata.operators.kafka_consume import KafkaConsumeOperator
from bigdata.operators.kafka_produce import KafkaProduceOperator
from bigdata.operators.kafka_topic import KafkaTopicOperator
from bigdata.storage.objects import ObjectStore, ensure_bucket

from ..kafka.records import Topic
from .jobs import FakeTask

pytestmark = pytest.mark.integration

SCHEMA = {"type": "record", "name": "Row", "fields": [{"name": "n", "type": "int"}, {"name": "text", "type": "string"}]}
ROWS = [{"n": n, "text": f"row {n}"} for n in range(50)]


@pytest.fixture(autouse=True)
def connections(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_TEST", f"kafka://?bootstrap.servers={stack.require('kafka').url}")


@pytest.fixture
def topic(kafka: KafkaConfig) -> Topic:
    name = f"test.{uuid4().hex[:8]}"
    ensure_topic(kafka, name, 2)
    return Topic(kafka, name)


def context(task_id: str = "t", run_id: str | None = None, try_number: int = 1) -> Any:
    task = FakeTask(
        dag_id="d", task_id=task_id, run_id=run_id or uuid4().hex, map_index=-1, try_number=try_number, pushed={}
    )
    return {"ti": task, "run_id": task.run_id}


def send(topic: Topic, source: Any, run_id: str | None = None, try_number: int = 1, **arguments: Any) -> Any:
    operator = KafkaProduceOperator(
        task_id="t", topic=topic.name, source=source, key="n", kafka_conn_id="kafka_test", **arguments
    )
    return operator.execute(context(run_id=run_id, try_number=try_number))


def read(topic: Topic, handler: Any, **arguments: Any) -> Any:
    operator = KafkaConsumeOperator(
        task_id="t", topic=topic.name, group=topic.name, handler=handler, kafka_conn_id="kafka_test", **arguments
    )
    return operator.execute(context())


def test_rows_of_a_list_come_back_as_they_were(topic: Topic) -> None:
    assert send(topic, ROWS, headers={"from": "test"})["sent"] == 50
    found: list[Record] = []
    assert read(topic, found.append)["count"] == 50
    assert sorted((record.value["n"], record.key) for record in found) == [(n, str(n).encode()) for n in range(50)]
    assert {dict(record.headers)["from"] for record in found} == {b"test"}


def test_a_function_is_called_with_what_it_asks_for(topic: Topic) -> None:
    def source(count: int, run_id: str | None = None) -> Iterator[dict[str, Any]]:
        assert run_id == "run-1"
        yield from ROWS[:count]

    assert send(topic, source, run_id="run-1", op_args=[7])["sent"] == 7


def test_parquet_is_read_from_a_file_and_from_s3(topic: Topic, store: ObjectStore, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(ROWS)
    parquet.write_table(table, tmp_path / "rows.parquet")
    assert send(topic, str(tmp_path / "rows.parquet"))["sent"] == 50
    ensure_bucket(store, "test-source")
    parquet.write_table(table, "test-source/rows/part-0.parquet", filesystem=store.filesystem())
    assert len(topic.read()) == 50


@pytest.mark.parametrize("as_file", [False, True])
def test_avro_comes_back_and_what_does_not_fit_is_named(topic: Topic, tmp_path: Path, as_file: bool) -> None:
    import json

    schema: Any = SCHEMA
    if as_file:
        file = tmp_path / "row.avsc"
        file.write_text(json.dumps(SCHEMA))
        schema = str(file)
    assert send(topic, ROWS, value_format="avro", schema=schema)["sent"] == 50
    found: list[Record] = []
    read(topic, found.append, value_format="avro", schema=schema)
    assert sorted(record.value["n"] for record in found) == list(range(50))

    with pytest.raises(BadRecord, match="record 3: does not fit the Avro schema"):
        send(topic, [*ROWS[:2], {"n": "x", "text": "y"}], value_format="avro", schema=schema)
    assert len(topic.read()) == 50  # the transaction was dropped


def test_bytes_that_are_no_avro_go_to_the_dead_letters(topic: Topic, kafka: KafkaConfig) -> None:
    dead = f"{topic.name}.dead"
    ensure_topic(kafka, dead, 1)
    send(topic, ROWS[:3], value_format="avro", schema=SCHEMA)
    KafkaProduceOperator(
        task_id="t", topic=topic.name, source=[b"\xff\xff"], value_format="bytes", kafka_conn_id="kafka_test"
    ).execute(context())
    done = read(topic, lambda record: None, value_format="avro", schema=SCHEMA, dead_letter_topic=dead)
    assert (done["count"], done["dead"]) == (4, 1)
    assert b"Avro" in dict(Topic(kafka, dead).read()[0].headers)["dead_letter.reason"]


def test_a_retry_of_a_task_that_was_done_sends_nothing(topic: Topic) -> None:
    first = send(topic, ROWS, run_id="r")
    again = send(topic, ROWS, run_id="r", try_number=2)
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert again["offsets"] == first["offsets"]
    assert len(topic.read()) == 50
    assert send(topic, ROWS, run_id="another")["repeated"] is False


def test_without_a_transaction_tries_are_told_apart(topic: Topic) -> None:
    made = [send(topic, ROWS, run_id="r", try_number=number, transactional=False) for number in (1, 2)]
    assert [receipt["delivery"] for receipt in made] == ["d/r/t/1", "d/r/t/2"]
    assert len(topic.read()) == 100


@pytest.mark.parametrize("expected", [49, "51"])
def test_a_count_that_is_not_as_expected_leaves_nothing(topic: Topic, expected: Any) -> None:
    with pytest.raises(DeliveryError, match=f"expected are {expected} records, 50 came"):
        send(topic, iter(ROWS), expected_count=expected)
    assert topic.read() == []


def test_a_task_that_is_killed_leaves_nothing(topic: Topic) -> None:
    operator = KafkaProduceOperator(task_id="t", topic=topic.name, kafka_conn_id="kafka_test")

    def source() -> Iterator[dict[str, Any]]:
        yield from ROWS[:10]
        operator.on_kill()
        yield from ROWS[10:]

    operator.source = source()
    with pytest.raises(DeliveryError, match="the task was killed"):
        operator.execute(context())
    assert topic.read() == []


def test_exactly_once_writes_what_the_handler_returns(topic: Topic, kafka: KafkaConfig) -> None:
    output = Topic(kafka, f"{topic.name}.out")
    ensure_topic(kafka, output.name, 2)
    send(topic, ROWS)

    def even(record: Record) -> Record | None:
        return None if record.value["n"] % 2 else Record(record.key, {"half": record.value["n"] // 2})

    done = read(topic, even, exactly_once=True, output_topic=output.name)
    assert (done["count"], done["produced"]) == (50, 25)
    assert {record.value for record in output.read()} == {f'{{"half":{n}}}'.encode() for n in range(25)}


def test_the_topic_operator_tells_what_is_there(kafka: KafkaConfig) -> None:
    name = f"test.{uuid4().hex[:8]}"
    operator = KafkaTopicOperator(task_id="t", topic=name, partitions="4", kafka_conn_id="kafka_test")
    assert operator.execute(context()) == {
        "name": name,
        "partitions": 4,
        "replicas": 1,
        "in_sync": 1,
        "leaderless": [],
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KafkaConsumeOperator(task_id="t", topic="x", exactly_once=True), "exactly_once needs output_topic"),
        (lambda: KafkaConsumeOperator(task_id="t", topic="x", output_topic="y"), "exactly_once=True only"),
        (lambda: KafkaTopicOperator(task_id="t", topic="x", by="magic"), "must be one of auto, admin, resource"),
    ],
)
def test_arguments_that_cannot_work_are_told_at_once(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_resource_needs_a_strimzi_cluster() -> None:
    operator = KafkaTopicOperator(task_id="t", topic="x", by="resource", kafka_conn_id="kafka_test")
    with pytest.raises(ConfigError, match="names no strimzi.cluster"):
        operator.execute(context())


def test_the_hook_tells_whether_it_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    from bigdata.hooks.kafka import KafkaHook

    assert KafkaHook("kafka_test").test_connection()[0] is True
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_GONE", "kafka://?bootstrap.servers=127.0.0.1:1")
    monkeypatch.setattr("bigdata.kafka.config.CONNECT_TIMEOUT_MS", 500)
    done, said = KafkaHook("kafka_gone").test_connection()
    assert not done
    assert "no broker answers at 127.0.0.1:1" in said
