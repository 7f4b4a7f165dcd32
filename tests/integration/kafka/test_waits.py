"""What one waits for at the brokers: told while it is missing, none once it is so, and nothing is changed by a look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from bigdata.errors import DeliveryError
from bigdata.kafka.bounds import Bounds
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.events import described
from bigdata.kafka.produce import produce
from bigdata.kafka.records import Record
from bigdata.kafka.topics import ensure_topic
from bigdata.kafka.waits import Search, cluster_unready, lag, lag_left, topic_missing
from bigdata.local.stack import Stack
from bigdata.triggers.kafka_wait import KafkaWaitTrigger

from .records import Topic, records

pytestmark = pytest.mark.integration


def test_a_topic_is_missed_until_it_has_enough_partitions(kafka: KafkaConfig) -> None:
    name = f"test.{uuid4().hex[:8]}"
    assert topic_missing(kafka, name) == f"topic {name} does not exist"
    ensure_topic(kafka, name, 2)
    assert topic_missing(kafka, name, 3) == f"topic {name} has 2 partitions of 3"
    assert topic_missing(kafka, name, 2) is None


def test_lag_counts_what_a_group_has_not_committed(topic: Topic) -> None:
    produce(topic.config, topic.name, records(100), "d")
    assert sum(lag(topic.config, topic.name, "group").values()) == 100  # it never committed
    consume(topic.config, topic.name, "group", lambda record: None, bounds=Bounds(end=False, count=90))
    assert "group group is 10 records behind" in (lag_left(topic.config, topic.name, "group") or "")
    assert lag_left(topic.config, topic.name, "group", most=10) is None
    consume(topic.config, topic.name, "group", lambda record: None)
    assert lag_left(topic.config, topic.name, "group") is None


def test_the_cluster_is_ready_when_its_brokers_and_replicas_are_there(topic: Topic) -> None:
    assert cluster_unready(topic.config, 1, [topic.name]) is None
    assert cluster_unready(topic.config, 3) == "1 of 3 brokers are there"
    assert cluster_unready(topic.config, 1, ["nowhere"]) == "topic nowhere does not exist"


def found(search: Search, topic: Topic) -> bytes | None:
    record = search.look(topic.config, 2)
    return record.key if record else None


def test_a_message_is_found_by_key_field_or_condition(topic: Topic) -> None:
    values = [b'{"order": {"id": 1}}', b"no json", b'{"order": {"id": 2}, "ok": true}']
    produce(topic.config, topic.name, [Record(str(n).encode(), value) for n, value in enumerate(values)], "d")
    assert found(Search(topic.name, key="1"), topic) == b"1"
    assert found(Search(topic.name, fields={"order.id": 2, "ok": True}), topic) == b"2"
    assert found(Search(topic.name, fields={"order.id": 3}), topic) is None
    assert found(Search(topic.name, matches=lambda record: record.value.startswith(b"no")), topic) == b"1"


def test_a_search_goes_on_where_it_was_and_misses_nothing(topic: Topic) -> None:
    produce(topic.config, topic.name, [Record(b"old", b"")], "d")
    search = Search(topic.name, latest=True)
    assert found(search, topic) is None
    produce(topic.config, topic.name, [Record(b"new", b"")], "d")
    assert found(Search(topic.name, offsets=dict(search.offsets)), topic) == b"new"


def test_a_search_needs_its_topic(topic: Topic) -> None:
    with pytest.raises(DeliveryError, match="nowhere: .*does not exist"):
        Search("nowhere").look(topic.config, 1)


@pytest.mark.parametrize(
    ("value", "encoding", "shown"),
    [
        (b'{"n": 1}', "json", {"n": 1}),
        (b"plain", "text", "plain"),
        (b"NaN", "text", "NaN"),
        (b"\xff\x00", "base64", "/wA="),
        (b"x" * 100_000, "omitted", None),
        (None, "json", None),
    ],
)
def test_a_record_becomes_data_that_airflow_can_store(value: bytes | None, encoding: str, shown: Any) -> None:
    data = described(Record(b"k", value, (("h", b"1"),), 2, 7, "t", 9))
    assert (data["encoding"], data["value"], data["key"], data["headers"]) == (encoding, shown, "k", {"h": "1"})
    assert (data["topic"], data["partition"], data["offset"]) == ("t", 2, 7)


@pytest.fixture
def by_connection(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection ``kafka_test`` to the embedded broker."""
    url = f"kafka://?bootstrap.servers={stack.require('kafka').url}"
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_TEST", url)


def fire(trigger: KafkaWaitTrigger, meanwhile: Callable[[], object] = lambda: None) -> Any:
    async def run() -> Any:
        waiting = asyncio.ensure_future(anext(aiter(trigger.run())))
        await asyncio.sleep(2)
        assert not waiting.done()
        await asyncio.to_thread(meanwhile)
        return (await asyncio.wait_for(waiting, 30)).payload

    return asyncio.run(run())


@pytest.mark.usefixtures("by_connection")
def test_a_trigger_fires_when_it_is_so(topic: Topic) -> None:
    name = f"test.{uuid4().hex[:8]}"
    wait = KafkaWaitTrigger("topic", "kafka_test", {"topic": name, "partitions": 1}, 0.5)
    assert fire(wait, lambda: ensure_topic(topic.config, name, 1)) == {"found": None}

    look = KafkaWaitTrigger("message", "kafka_test", {"topic": topic.name, "key": "yes", "latest": True}, 0.1)
    event = fire(
        look, lambda: produce(topic.config, topic.name, [Record(b"no", b""), Record(b"yes", b'{"n": 1}')], "d")
    )
    assert (event["found"]["key"], event["found"]["value"]) == ("yes", {"n": 1})


@pytest.mark.usefixtures("by_connection")
def test_a_wait_that_cannot_end_says_why(topic: Topic) -> None:
    trigger = KafkaWaitTrigger("message", "kafka_test", {"topic": "nowhere"}, 0.1)

    async def run() -> Any:
        return (await anext(aiter(trigger.run()))).payload

    assert "nowhere: " in asyncio.run(run())["error"]
