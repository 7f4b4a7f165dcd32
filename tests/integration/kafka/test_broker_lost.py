"""The only broker dies: a call ends with one clear error or a true count, never both."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from bigdata.errors import DeliveryError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.produce import produce
from bigdata.kafka.reconcile import Reconciliation
from bigdata.kafka.records import Record
from bigdata.kafka.topics import ensure_topic
from bigdata.local.record import State
from bigdata.local.stack import Stack

from ...waiting import soon
from .brokers import fill
from .records import KIBIBYTE, records

pytestmark = pytest.mark.integration


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


@pytest.mark.parametrize("transactional_id", [pytest.param("", marks=pytest.mark.soak), "test.lost"])
def test_a_broker_that_dies_while_records_are_sent_is_told_with_what_was_acknowledged(
    own_kafka: tuple[Stack, KafkaConfig, str], transactional_id: str
) -> None:
    stack, config, topic = own_kafka

    def until_it_dies() -> Iterator[Record]:
        yield from records(1_000)
        kill(stack)
        yield from records(500, first=1_000)

    call = {"window": 500, "delivery_timeout": 8.0, "transactional_id": transactional_id}
    with pytest.raises(DeliveryError, match=rf"{topic}: 1\d\d\d records sent, \d+ accounted for") as caught:
        produce(config, topic, until_it_dies(), "run", **call)  # type: ignore[arg-type]
    assert 500 <= caught.value.acknowledged <= 1_000

    # What was acknowledged has outlived the kill, unless it was part of a transaction; the second try delivers all.
    stack.up(["kafka"])
    receipt = produce(config, topic, records(1_500), "second try", transactional_id=transactional_id)
    reconciliation = Reconciliation(receipt)
    consume(config, topic, "group", reconciliation)
    assert reconciliation.check() == 1_500
    if transactional_id:
        assert reconciliation.others == 0
    else:
        assert reconciliation.others >= caught.value.acknowledged


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
        consume(config, topic, "group", handle, stall_timeout=5, member="task")

    stack.up(["kafka"])
    again: list[Record] = []
    consume(config, topic, "group", again.append, member="task")
    assert {record.key for record in handled} | {record.key for record in again} == {r.key for r in records(5_000)}
    assert len(again) == 5_000


def test_a_disk_that_is_full_is_told_and_leaves_nothing_half_sent(own_kafka: tuple[Stack, KafkaConfig, str]) -> None:
    stack, config, topic = own_kafka

    def until_it_is_full() -> Iterator[Record]:
        yield from records(5_000, value=KIBIBYTE)
        fill(stack.require("kafka").pid, 4 << 20)
        yield from records(25_000, first=5_000, value=KIBIBYTE)

    with pytest.raises(DeliveryError, match=rf"{topic}: \d+ records sent, \d+ accounted for"):
        produce(config, topic, until_it_is_full(), "run", delivery_timeout=8.0, transactional_id="test.full")
    assert soon(lambda: stack.status()[0].state != State.UP, 30)  # a broker without a disk to write to ends itself

    stack.up(["kafka"])
    receipt = produce(config, topic, records(1_000), "second try", transactional_id="test.full")
    reconciliation = Reconciliation(receipt)
    consume(config, topic, "group", reconciliation)
    assert (reconciliation.check(), reconciliation.others) == (1_000, 0)
