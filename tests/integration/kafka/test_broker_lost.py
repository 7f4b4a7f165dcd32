"""The broker dies, or more comes while a task reads: a call ends with one clear error or a true count, never both."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from bigdata.errors import DeliveryError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.produce import Record, produce
from bigdata.kafka.reconcile import Reconciliation
from bigdata.kafka.topics import ensure_topic
from bigdata.local.stack import Stack

pytestmark = pytest.mark.integration


def records(count: int) -> Iterator[Record]:
    return (Record(str(number).encode(), b"{}") for number in range(count))


@pytest.fixture
def own_kafka(own_stack: Callable[..., Stack]) -> tuple[Stack, KafkaConfig, str]:
    """A broker that may be killed, and a topic on it."""
    stack = own_stack()
    (status,) = stack.up(["kafka"])
    config = KafkaConfig(f"127.0.0.1:{status.port}")
    topic = f"test.{uuid4().hex[:8]}"
    ensure_topic(config, topic, partitions=3)
    return stack, config, topic


def kill(stack: Stack) -> None:
    os.kill(stack.require("kafka").pid, signal.SIGKILL)


def test_records_that_come_while_it_is_read_are_left_for_the_next_read(kafka: KafkaConfig) -> None:
    topic = f"test.{uuid4().hex[:8]}"
    ensure_topic(kafka, topic, partitions=3)
    produce(kafka, topic, records(100), "first")
    more = []

    def handle(record: Record) -> None:
        if not more:
            more.append(produce(kafka, topic, records(50), "second"))

    assert consume(kafka, topic, "group", handle).count == 100
    assert consume(kafka, topic, "group", lambda record: None).count == 50


def test_a_broker_that_dies_while_records_are_sent_is_told_with_what_was_acknowledged(
    own_kafka: tuple[Stack, KafkaConfig, str],
) -> None:
    stack, config, topic = own_kafka

    def until_it_dies() -> Iterator[Record]:
        yield from records(1_000)
        kill(stack)
        yield from records(500)

    begun = time.monotonic()
    with pytest.raises(DeliveryError, match=rf"{topic}: .*1500 records sent, 1000 accounted for") as caught:
        produce(config, topic, until_it_dies(), "run", batch=500, delivery_timeout=15)
    assert (caught.value.sent, caught.value.acknowledged) == (1_500, 1_000)
    assert time.monotonic() - begun < 60

    # What was acknowledged has outlived the kill; the second try delivers all and can be told from the first.
    stack.up(["kafka"])
    receipt = produce(config, topic, records(1_500), "second try")
    reconciliation = Reconciliation(receipt)
    consume(config, topic, "group", reconciliation)
    assert reconciliation.check() == 1_500
    assert reconciliation.others >= 1_000


def test_a_broker_that_dies_while_records_are_read_commits_nothing_unhandled(
    own_kafka: tuple[Stack, KafkaConfig, str],
) -> None:
    stack, config, topic = own_kafka
    produce(config, topic, records(5_000), "run")
    handled: list[Record] = []

    def handle(record: Record) -> None:
        if not handled:
            kill(stack)
        handled.append(record)

    with pytest.raises(DeliveryError, match=topic):
        consume(config, topic, "group", handle, idle_timeout=5)

    stack.up(["kafka"])
    again: list[Record] = []
    consume(config, topic, "group", again.append)
    assert {record.key for record in handled} | {record.key for record in again} == {r.key for r in records(5_000)}
    assert len(again) == 5_000
