"""Three brokers: any one may go, in the midst of everything, and nothing is lost or doubled."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import pytest

from bigdata.errors import DeliveryError
from bigdata.kafka.consume import consume
from bigdata.kafka.produce import produce
from bigdata.kafka.records import Record
from bigdata.kafka.topics import describe_topic, ensure_topic
from bigdata.kafka.transform import transform

from ...waiting import soon
from .brokers import Brokers
from .records import KIBIBYTE, Topic, numbers, records

pytestmark = pytest.mark.integration

MILLION = 1_000_000


def make(brokers: Brokers, partitions: int = 9) -> Topic:
    name = f"test.{uuid4().hex[:8]}"
    ensure_topic(brokers.config, name, partitions)
    return Topic(brokers.config, name)


def after(source: Iterator[Record], counts: dict[int, object]) -> Iterator[Record]:
    """The records; at some counts something is done."""
    for count, record in enumerate(source):
        if count in counts:
            counts[count]()  # type: ignore[operator]
        yield record


@pytest.mark.soak
def test_a_million_records_go_through_while_brokers_die(three_brokers: Brokers) -> None:
    """In as a transaction, from topic to topic exactly once, out at least once; a broker is killed in each of them."""
    source, output = make(three_brokers), make(three_brokers)
    assert describe_topic(source.config, source.name).replicas == 3  # type: ignore[union-attr]

    faults = {200_000: lambda: three_brokers.kill(1), 600_000: three_brokers.restart}
    receipt = produce(source.config, source.name, after(records(MILLION), faults), "d", transactional_id="test.million")
    assert receipt.sent == MILLION

    seen = 0

    def copy(record: Record) -> Record:
        nonlocal seen
        seen += 1
        if seen == 300_000:
            three_brokers.kill(2)
        if seen == 700_000:
            three_brokers.restart()
        return Record(record.key, record.value)

    done = transform(
        source.config, source.name, "group", copy, output.name, "test.copy", member="task", stall_timeout=60
    )
    assert (done.count, done.produced) == (MILLION, MILLION)

    keys: Counter[bytes] = Counter()

    def count(batch: list[Record]) -> None:
        if sum(keys.values()) == 0:
            three_brokers.kill(3)
        keys.update(record.key or b"" for record in batch)

    assert consume(output.config, output.name, "group", count, batch=True, member="task").count == MILLION
    assert keys == numbers(MILLION)
    assert output.lag("group") == 0


def test_a_plain_produce_loses_and_doubles_nothing_while_a_broker_dies(three_brokers: Brokers) -> None:
    topic = make(three_brokers)
    faults = {10_000: lambda: three_brokers.kill(2)}
    assert produce(topic.config, topic.name, after(records(50_000), faults), "d", window=5_000).sent == 50_000
    assert topic.keys() == numbers(50_000)


@pytest.mark.soak
def test_with_two_of_three_gone_nothing_is_acknowledged_and_nothing_is_lost(three_brokers: Brokers) -> None:
    topic = make(three_brokers)
    assert produce(topic.config, topic.name, records(1_000), "d").sent == 1_000

    def two_die() -> None:
        three_brokers.kill(1)
        three_brokers.kill(3)

    with pytest.raises(DeliveryError, match=topic.name) as caught:
        produce(
            topic.config,
            topic.name,
            after(records(2_000, first=1_000), {500: two_die}),
            "e",
            window=200,
            delivery_timeout=8,
        )
    three_brokers.restart()
    found = topic.keys()
    assert sum(found.values()) >= 1_000 + caught.value.acknowledged
    assert not numbers(1_000) - found


def test_a_network_that_stands_still_for_a_while_delays_and_changes_nothing(three_brokers: Brokers) -> None:
    source, output = make(three_brokers), make(three_brokers)

    def stand_still() -> None:
        three_brokers.pause(2)
        threading.Timer(5, three_brokers.resume, [2]).start()

    faults = {5_000: stand_still}
    done = produce(source.config, source.name, after(records(20_000), faults), "d", transactional_id="test.pause")
    assert done.sent == 20_000
    stood = []

    def copy(record: Record) -> Record:
        if not stood:
            stood.append(True)
            stand_still()
        return Record(record.key, record.value)

    moved = transform(
        source.config, source.name, "group", copy, output.name, "test.move", member="task", stall_timeout=60
    )
    assert moved.produced == 20_000
    assert source.keys() == output.keys() == numbers(20_000)


@pytest.mark.soak
def test_a_broker_that_comes_back_catches_up(three_brokers: Brokers) -> None:
    topic = make(three_brokers)
    three_brokers.kill(3)
    produce(topic.config, topic.name, records(1_000), "d")
    assert describe_topic(topic.config, topic.name).in_sync == 2  # type: ignore[union-attr]
    three_brokers.restart()
    assert soon(lambda: describe_topic(topic.config, topic.name).in_sync == 3, 60)  # type: ignore[union-attr]


def test_a_broker_whose_disk_is_full_goes_and_the_others_carry_on(three_brokers: Brokers) -> None:
    topic = make(three_brokers)
    values = records(80_000, value=KIBIBYTE)
    faults = {10_000: lambda: three_brokers.fill(2, 3 << 20)}
    assert produce(topic.config, topic.name, after(values, faults), "d", transactional_id="test.full").sent == 80_000
    assert soon(lambda: not three_brokers.is_alive(2), 60)
    assert topic.keys() == numbers(80_000)
