"""Producing: what was sent is there once; a retry of a transaction does not double it, wherever the first try ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bigdata.errors import DeliveryError
from bigdata.kafka import outbox
from bigdata.kafka.outbox import Outbox
from bigdata.kafka.produce import produce
from bigdata.kafka.reconcile import Reconciliation
from bigdata.kafka.records import Record

from .records import Topic, numbers, records

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("transactional_id", ["", "test.once"])
def test_what_is_sent_is_there_once(topic: Topic, transactional_id: str) -> None:
    receipt = produce(topic.config, topic.name, records(2_500), "d", transactional_id=transactional_id, window=1_000)
    assert (receipt.sent, receipt.repeated) == (2_500, False)
    assert sum(last - first + 1 for first, last in receipt.offsets.values()) == 2_500
    assert topic.keys() == numbers(2_500)
    assert {dict(record.headers)["delivery"] for record in topic.read()} == {b"d"}


def test_a_key_always_goes_to_the_same_partition(topic: Topic) -> None:
    for delivery in ("run-1", "run-2"):
        produce(topic.config, topic.name, records(50), delivery)
    places: dict[bytes | None, set[int]] = {}
    for record in topic.read():
        places.setdefault(record.key, set()).add(record.partition)
    assert len(places) == 50
    assert all(len(partitions) == 1 for partitions in places.values())


def test_a_partition_is_chosen_by_the_record_or_by_a_partitioner(topic: Topic) -> None:
    produce(topic.config, topic.name, [Record(b"a", b"", partition=2), Record(b"b", b"", partition=0)], "d")
    produce(
        topic.config, topic.name, [Record(b"c", b"")], "d", partitioner=lambda key, partitions: partitions[ord(key) % 2]
    )
    assert {record.key: record.partition for record in topic.read()} == {b"a": 2, b"b": 0, b"c": 1}


def test_headers_time_and_tombstones_come_through(topic: Topic) -> None:
    produce(topic.config, topic.name, [Record(b"gone", None, (("why", b"test"),), timestamp=1_000_000)], "d")
    (found,) = topic.read()
    assert (found.value, dict(found.headers), found.timestamp) == (None, {"why": b"test", "delivery": b"d"}, 1_000_000)


def test_large_records_wait_for_each_other(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty thousand of a megabyte each would be twenty gigabytes."""
    monkeypatch.setattr(outbox, "WINDOW_BYTES", 1 << 20)
    large, most = Outbox(topic.config), 0
    for record in records(200, value=b"x" * 100_000):
        large.send(topic.name, record)
        most = max(most, large._pending_bytes)
    large.flush()
    large.close()
    assert 500_000 < most < (1 << 20) + 100_010
    assert (large.acknowledged, large._pending_bytes) == (200, 0)
    assert topic.keys() == numbers(200)


def test_nothing_to_send_is_fine(topic: Topic) -> None:
    assert produce(topic.config, topic.name, [], "d").sent == 0
    assert [produce(topic.config, topic.name, [], "d", transactional_id="test.none").repeated for _ in "ab"] == [0, 1]
    assert topic.read() == []


@pytest.mark.parametrize("transactional_id", ["", "test.bad"])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Record(b"large", b"x" * 2_000_000), "record 6, key 'large': .*MessageSizeTooLarge.*2000104 bytes"),
        (Record(b"text", "text"), "record 6, key 'text': .*<class 'str'>"),
        (Record(b"far", b"", partition=9), "record 6, key 'far': .*Unrecognized partition 9"),
    ],
)
def test_a_bad_record_is_named_and_counted(topic: Topic, transactional_id: str, bad: Record, message: str) -> None:
    def some() -> Iterator[Record]:
        yield from records(5)
        yield bad

    with pytest.raises(DeliveryError, match=f"{topic.name}: 6 records sent, . accounted for: {message}") as error:
        produce(topic.config, topic.name, some(), "d", transactional_id=transactional_id)
    assert error.value.acknowledged < error.value.sent == 6
    if transactional_id:
        assert topic.read() == []


def test_a_record_that_only_the_brokers_find_too_large_is_told(make_topic: Callable[..., Topic]) -> None:
    from bigdata.kafka.topics import ensure_topic

    topic = make_topic()
    ensure_topic(topic.config, topic.name, configs={"max.message.bytes": 2_000})
    with pytest.raises(DeliveryError, match="1 records sent, 0 accounted for: .*(TooLarge|larger than)"):
        produce(topic.config, topic.name, [Record(b"k", b"x" * 5_000)], "d")


def test_an_unknown_topic_is_an_error_and_is_not_made(topic: Topic) -> None:
    for _ in range(2):
        with pytest.raises(DeliveryError, match=r"nowhere\.at\.all: .*does not exist"):
            produce(topic.config, "nowhere.at.all", records(1), "d")


def test_a_source_that_fails_leaves_nothing_of_its_transaction(topic: Topic) -> None:
    def broken() -> Iterator[Record]:
        yield from records(500)
        raise ValueError("source")

    with pytest.raises(ValueError, match="source"):
        produce(topic.config, topic.name, broken(), "d", transactional_id="test.source", window=100)
    assert topic.read() == []
    assert produce(topic.config, topic.name, records(20), "d", transactional_id="test.source").sent == 20
    assert topic.keys() == numbers(20)


def test_a_retry_after_a_kill_before_the_commit_sends_all_anew(topic: Topic, killed: Callable[[str], str]) -> None:
    killed(f"""
def some():
    yield from records(700)
    die()
produce(config, "{topic.name}", some(), "d", transactional_id="test.before", window=100)
""")
    receipt = produce(topic.config, topic.name, records(1_000), "d", transactional_id="test.before")
    assert (receipt.sent, receipt.repeated) == (1_000, False)
    assert topic.keys() == numbers(1_000)


def test_a_retry_after_a_kill_behind_the_commit_sends_nothing(topic: Topic, killed: Callable[[str], str]) -> None:
    killed(f"""
Outbox.close = die
produce(config, "{topic.name}", records(1_000), "d", transactional_id="test.behind")
""")
    receipt = produce(topic.config, topic.name, records(1_000), "d", transactional_id="test.behind")
    assert (receipt.sent, receipt.repeated) == (1_000, True)
    assert topic.keys() == numbers(1_000)
    read = Reconciliation(receipt)
    for record in topic.read():
        read(record)
        first, last = receipt.offsets[record.partition]
        assert first <= record.offset <= last
    assert read.check() == 1_000


def test_another_run_of_the_task_is_another_delivery(topic: Topic) -> None:
    for run in ("run-1", "run-2"):
        assert not produce(topic.config, topic.name, records(10), run, transactional_id=f"test.{run}").repeated
    assert set(topic.keys().values()) == {2}


def test_a_try_that_was_taken_for_dead_cannot_commit(topic: Topic) -> None:
    old = Outbox(topic.config, transactional_id="test.fenced")
    old.begin()
    for record in records(10):
        old.send(topic.name, record)
    assert produce(topic.config, topic.name, records(20), "d", transactional_id="test.fenced").sent == 20
    with pytest.raises(DeliveryError, match=r"(ProducerFenced|InvalidProducerEpoch|fenced)"):
        old.commit({}, "")
    old.abort()
    assert topic.keys() == numbers(20)
