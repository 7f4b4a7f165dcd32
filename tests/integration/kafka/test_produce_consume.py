"""Producing and consuming against the embedded broker: nothing lost, nothing doubled, nothing committed too early."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from bigdata.errors import ConfigError, DeliveryError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.produce import Record, produce
from bigdata.kafka.reconcile import Reconciliation
from bigdata.kafka.topics import ensure_topic

pytestmark = pytest.mark.integration


@pytest.fixture
def topic(kafka: KafkaConfig) -> str:
    name = f"test.{uuid4().hex[:8]}"
    assert ensure_topic(kafka, name, partitions=3) == 3
    return name


def records(count: int, first: int = 0) -> Iterator[Record]:
    return (Record(str(number).encode(), b"{}") for number in range(first, first + count))


def test_what_is_sent_is_read_back_once_each(kafka: KafkaConfig, topic: str) -> None:
    receipt = produce(kafka, topic, records(2_500), "run-1", batch=1_000)
    assert receipt.sent == 2_500
    assert sum(last - first + 1 for first, last in receipt.offsets.values()) == 2_500

    reconciliation = Reconciliation(receipt)
    consumed = consume(kafka, topic, "group", reconciliation)
    assert (consumed.count, reconciliation.check()) == (2_500, 2_500)


def test_a_key_always_goes_to_the_same_partition(kafka: KafkaConfig, topic: str) -> None:
    seen: dict[bytes | None, set[int]] = {}
    for delivery in ("run-1", "run-2"):
        produce(kafka, topic, records(50), delivery)
    consume(kafka, topic, "group", lambda record: seen.setdefault(record.key, set()).add(record.partition))
    assert len(seen) == 50
    assert all(len(partitions) == 1 for partitions in seen.values())


def test_a_second_read_begins_where_the_first_ended(kafka: KafkaConfig, topic: str) -> None:
    produce(kafka, topic, records(10), "run-1")
    assert consume(kafka, topic, "group", lambda record: None).count == 10
    assert consume(kafka, topic, "group", lambda record: None).count == 0
    produce(kafka, topic, records(5, first=10), "run-2")
    assert consume(kafka, topic, "group", lambda record: None).count == 5
    assert consume(kafka, topic, "other", lambda record: None).count == 15


def test_a_handler_that_fails_leaves_the_offset_where_it_was(kafka: KafkaConfig, topic: str) -> None:
    produce(kafka, topic, records(10), "run-1")

    def fail(record: Record) -> None:
        if record.key == b"7":
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        consume(kafka, topic, "group", fail)
    assert consume(kafka, topic, "group", lambda record: None).count == 10


def test_a_verification_can_be_run_again_after_it_committed(kafka: KafkaConfig, topic: str) -> None:
    produce(kafka, topic, records(3), "run-1")
    receipt = produce(kafka, topic, records(20), "run-2")
    start = {partition: first for partition, (first, _) in receipt.offsets.items()}
    for _ in range(2):
        reconciliation = Reconciliation(receipt)
        consume(kafka, topic, "group", reconciliation, start)
        assert reconciliation.check() == 20


def test_another_deliverys_records_do_not_disturb(kafka: KafkaConfig, topic: str) -> None:
    produce(kafka, topic, records(20), "failed-try")
    receipt = produce(kafka, topic, records(20), "second-try")
    reconciliation = Reconciliation(receipt)
    consume(kafka, topic, "group", reconciliation)
    assert (reconciliation.check(), reconciliation.others) == (20, 20)


def test_a_record_too_large_fails_the_call_and_is_counted(kafka: KafkaConfig, topic: str) -> None:
    def some() -> Iterator[Record]:
        yield from records(5)
        yield Record(b"large", b"x" * 2_000_000)

    with pytest.raises(DeliveryError, match="6 records sent, .* accounted for: MessageSizeTooLarge") as error:
        produce(kafka, topic, some(), "run-1")
    assert error.value.acknowledged < error.value.sent == 6


def test_an_unknown_topic_is_named(kafka: KafkaConfig) -> None:
    with pytest.raises(DeliveryError, match=r"nowhere\.at\.all: .*does not exist"):
        consume(kafka, "nowhere.at.all", "group", lambda record: None)


def test_a_topic_name_kafka_refuses_is_named(kafka: KafkaConfig) -> None:
    with pytest.raises(ConfigError, match="topic 'a b' cannot be created"):
        ensure_topic(kafka, "a b")


def test_nothing_to_send_is_fine(kafka: KafkaConfig, topic: str) -> None:
    assert produce(kafka, topic, [], "run-1").sent == 0
    assert consume(kafka, topic, "group", lambda record: None).count == 0
