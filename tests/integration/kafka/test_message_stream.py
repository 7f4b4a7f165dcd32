"""The consumer behind watchers, as a triggerer runs it; in a whole Airflow in test_kafka_watcher.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bigdata.kafka.events import LONGEST_VALUE
from bigdata.kafka.membership import members
from bigdata.kafka.produce import produce
from bigdata.kafka.records import Record
from bigdata.triggers.kafka_messages import KafkaMessages, KafkaMessageTrigger

from .records import Topic, numbers, records

pytestmark = pytest.mark.integration


class Stream:
    """A triggerer's stream: what it was given, while it runs."""

    def __init__(self, topic: Topic) -> None:
        self.given: list[Any] = []
        self.producer = KafkaMessages([topic.name], "kafka_stream", f"{topic.name}.watcher")
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message, _ in self.producer.open_stream():
            self.given.append(message)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        await self.producer.aclose()

    async def has_partitions(self, least: int, most: int) -> None:
        async with asyncio.timeout(30):
            while not (consumer := self.producer._consumer) or not least <= len(consumer.assignment()) <= most:
                await asyncio.sleep(0.1)

    async def comes_to(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.given) < count:
                await asyncio.sleep(0.1)


@pytest.fixture
def make_connected(make_topic: Callable[..., Topic], monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Topic]:
    def make(partitions: int) -> Topic:
        topic = make_topic(partitions)
        monkeypatch.setenv("AIRFLOW_CONN_KAFKA_STREAM", f"kafka://?bootstrap.servers={topic.config.bootstrap_servers}")
        return topic

    return make


@pytest.mark.parametrize("partitions", [1, 3])
def test_streams_of_two_triggerers_give_no_message_to_one_of_them_alone(
    make_connected: Callable[[int], Topic], caplog: pytest.LogCaptureFixture, partitions: int
) -> None:
    topic = make_connected(partitions)

    async def run() -> tuple[int, int, list[Any]]:
        first = Stream(topic)
        await first.has_partitions(partitions, partitions)
        second = Stream(topic)
        async with asyncio.timeout(30):
            while members(topic.config, first.producer.group) < 2:
                await asyncio.sleep(0.5)
        for stream in (first, second):
            await stream.has_partitions(0, partitions - 1 or 1)
        await asyncio.sleep(3)
        produce(topic.config, topic.name, records(30), "d")
        await asyncio.sleep(5)
        shared = len(first.given), len(second.given)
        await first.end()
        await second.comes_to(30)
        await second.end()
        return *shared, second.given

    first, second, alone = asyncio.run(run())
    assert first == second == 0
    assert "has another member, most likely another triggerer" in caplog.text
    assert sorted(message.event["key"].encode() for message in alone) == sorted(numbers(30))


def test_a_message_too_large_for_an_event_is_chosen_by_its_content_all_the_same(
    make_connected: Callable[[int], Topic],
) -> None:
    topic = make_connected(3)
    value = {"kind": "wanted", "filler": "x" * LONGEST_VALUE}

    async def run() -> list[Any]:
        stream = Stream(topic)
        await stream.has_partitions(3, 3)
        produce(topic.config, topic.name, [Record(b"k", json.dumps(value).encode())], "d")
        await stream.comes_to(1)
        await stream.end()

        async def given() -> AsyncIterator[Any]:
            for message in stream.given:
                yield message

        trigger = KafkaMessageTrigger([topic.name], fields={"kind": "wanted"})
        return [event async for event in trigger.filter_shared_stream(given())]

    (event,) = asyncio.run(run())
    assert (event.payload["encoding"], event.payload["value"]) == ("omitted", None)
