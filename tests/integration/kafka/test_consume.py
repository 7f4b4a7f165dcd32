"""Consuming: every record is handled, nothing is committed too early, and a read ends where it should."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from bigdata.errors import ConfigError, DeliveryError
from bigdata.kafka.bounds import Bounds
from bigdata.kafka.consume import consume
from bigdata.kafka.formats import Json
from bigdata.kafka.outbox import Outbox
from bigdata.kafka.produce import produce
from bigdata.kafka.reader import Reader
from bigdata.kafka.records import BadRecord, Record

from .records import Topic, numbers, records

pytestmark = pytest.mark.integration


def nothing(record: Record) -> None:
    pass


def test_a_second_read_begins_where_the_first_ended(topic: Topic) -> None:
    produce(topic.config, topic.name, records(10), "d")
    first = consume(topic.config, topic.name, "group", nothing)
    assert (first.count, sum(end - start for start, end in first.offsets.values())) == (10, 10)
    assert consume(topic.config, topic.name, "group", nothing).count == 0
    produce(topic.config, topic.name, records(5, first=10), "d")
    assert consume(topic.config, topic.name, "group", nothing).count == 5
    assert consume(topic.config, topic.name, "other", nothing).count == 15


def test_records_come_in_order_alone_or_as_a_batch(topic: Topic) -> None:
    produce(topic.config, topic.name, records(1_000), "d")
    alone: list[Record] = []
    batches: list[list[Record]] = []
    consume(topic.config, topic.name, "alone", alone.append)
    consume(topic.config, topic.name, "batch", batches.append, batch=True)
    for found in (alone, [record for batch in batches for record in batch]):
        assert len(found) == 1_000
        for partition in range(3):
            offsets = [record.offset for record in found if record.partition == partition]
            assert offsets == sorted(offsets)


def test_a_handler_that_fails_leaves_the_commit_where_it_was(topic: Topic) -> None:
    produce(topic.config, topic.name, records(10), "d")

    def fail(record: Record) -> None:
        if record.key == b"7":
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        consume(topic.config, topic.name, "group", fail)
    assert consume(topic.config, topic.name, "group", nothing).count == 10


def test_records_that_come_while_it_is_read_are_left_for_the_next_read(topic: Topic) -> None:
    produce(topic.config, topic.name, records(100), "d")
    more = []

    def handle(record: Record) -> None:
        if not more:
            more.append(produce(topic.config, topic.name, records(50), "e"))

    assert consume(topic.config, topic.name, "group", handle).count == 100
    assert consume(topic.config, topic.name, "group", nothing).count == 50


def test_a_read_ends_after_a_count_with_the_commit_just_there(topic: Topic) -> None:
    produce(topic.config, topic.name, records(100), "d")
    found: list[Record] = []
    for _ in range(3):
        assert consume(topic.config, topic.name, "group", found.append, bounds=Bounds(end=False, count=30)).count == 30
    assert consume(topic.config, topic.name, "group", found.append, bounds=Bounds(count=30)).count == 10
    assert sorted(record.key or b"" for record in found) == sorted(numbers(100))


@pytest.mark.parametrize("bounds", [Bounds(end=False, idle=1), Bounds(end=False, seconds=3)])
def test_a_read_ends_after_a_time_or_when_nothing_comes(topic: Topic, bounds: Bounds) -> None:
    produce(topic.config, topic.name, records(100), "d")
    assert consume(topic.config, topic.name, "group", nothing, bounds=bounds).count == 100


def test_a_slow_handler_is_not_a_topic_without_records(topic: Topic) -> None:
    produce(topic.config, topic.name, records(30), "d")
    bounds = Bounds(end=False, idle=1)
    found = consume(topic.config, topic.name, "group", lambda record: time.sleep(0.12), bounds=bounds)
    assert found.count == 30


def test_a_slow_handler_is_given_little_at_a_time(topic: Topic) -> None:
    produce(topic.config, topic.name, records(30), "d")
    batches: list[int] = []

    def handle(batch: list[Record]) -> None:
        batches.append(len(batch))
        time.sleep(0.2 * len(batch))

    consume(topic.config, topic.name, "group", handle, batch=True)
    assert sum(batches) == 30
    assert max(batches) <= 10  # two seconds' worth


def test_records_that_take_longer_than_the_group_waits_end_the_read(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bigdata.kafka.reader.HANDLING_SECONDS", 2.0)
    produce(topic.config, topic.name, records(3), "d")
    with pytest.raises(DeliveryError, match=r"3 records were handled in \d s, longer than the 2 s that its group"):
        consume(topic.config, topic.name, "group", lambda batch: time.sleep(8), batch=True, member="task")
    assert topic.lag("group") == 3


@pytest.mark.parametrize("wrong", [{"end": False}, {"count": -1}])
def test_a_read_needs_a_bound(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="bound"):
        Bounds(**wrong)  # type: ignore[arg-type]


def test_marks_of_transactions_are_no_lag(topic: Topic) -> None:
    produce(topic.config, topic.name, records(30), "d", transactional_id="test.marks")
    aborted = Outbox(topic.config, transactional_id="test.aborted")
    aborted.begin()
    for record in records(30):
        aborted.send(topic.name, record)
    aborted.flush()
    aborted.abort()
    assert consume(topic.config, topic.name, "group", nothing).count == 30
    assert topic.lag("group") == 0


def test_an_open_transaction_is_not_waited_for(topic: Topic) -> None:
    produce(topic.config, topic.name, records(10), "d")
    open_one = Outbox(topic.config, transactional_id="test.open")
    open_one.begin()
    for record in records(10):
        open_one.send(topic.name, record)
    open_one.flush()
    assert consume(topic.config, topic.name, "group", nothing, stall_timeout=10).count == 10
    open_one.abort()


def test_an_unknown_topic_is_named(topic: Topic) -> None:
    with pytest.raises(DeliveryError, match=r"nowhere\.at\.all: .*does not exist"):
        consume(topic.config, "nowhere.at.all", "group", nothing)
    with pytest.raises(DeliveryError, match=r"no\.dead: .*does not exist"):
        consume(topic.config, topic.name, "group", nothing, dead_letter_topic="no.dead")


def test_a_bad_record_ends_the_read_and_is_named(topic: Topic) -> None:
    produce(topic.config, topic.name, [Record(b"k", b"{}", partition=1), Record(b"k", b"{", partition=1)], "d")
    with pytest.raises(BadRecord, match=rf"{topic.name}\[1\]@1: not JSON"):
        consume(topic.config, topic.name, "group", nothing, decode=Json().decode)
    assert topic.lag("group") == 2


@pytest.mark.parametrize("batch", [False, True])
def test_bad_records_are_kept_with_the_reason(make_topic: Callable[..., Topic], batch: bool) -> None:
    topic, dead = make_topic(), make_topic()
    values = [b'{"n": 1}', b"{", b'{"n": 13}', b'{"n": 2}', b"\xff"]
    produce(topic.config, topic.name, [Record(str(n).encode(), value) for n, value in enumerate(values)], "d")
    good: list[int] = []

    def handle(given: Record | list[Record]) -> None:
        for record in [given] if isinstance(given, Record) else given:
            if record.value["n"] == 13:
                raise BadRecord("13 is not wanted")
            good.append(record.value["n"])

    done = consume(
        topic.config,
        topic.name,
        "group",
        handle,
        decode=Json().decode,
        dead_letter_topic=dead.name,
        batch=batch,
    )
    assert (done.count, done.dead) == (5, 3)
    assert set(good) == {1, 2}
    letters = {record.key: (record.value, dict(record.headers)) for record in dead.read()}
    assert {key: value for key, (value, _) in letters.items()} == {b"1": b"{", b"2": b'{"n": 13}', b"4": b"\xff"}
    headers = letters[b"2"][1]
    assert (headers["dead_letter.reason"], headers["dead_letter.topic"]) == (b"13 is not wanted", topic.name.encode())
    assert headers["dead_letter.group"] == b"group"
    assert headers["delivery"] == b"d"  # its own headers are kept
    assert topic.lag("group") == 0


def test_a_verification_can_be_repeated_after_it_committed(topic: Topic) -> None:
    produce(topic.config, topic.name, records(3), "run-1")
    receipt = produce(topic.config, topic.name, records(20), "run-2")
    start = {partition: first for partition, (first, _) in receipt.offsets.items()}
    assert [consume(topic.config, topic.name, "group", nothing, start).count for _ in "ab"] == [20, 20]


def test_a_killed_tasks_retry_takes_its_place_and_goes_on_at_the_commit(
    topic: Topic, killed: Callable[[str], str]
) -> None:
    produce(topic.config, topic.name, records(3_000), "d")
    output = killed(f"""
def handle(record):
    print(record.key.decode())
    if handle.left == 0:
        die()
    handle.left -= 1
handle.left = 2_000
Reader.__init__.__kwdefaults__["poll_records"] = 500
import sys; sys.stdout.reconfigure(line_buffering=True)
consume(config, "{topic.name}", "group", handle, member="task")
""")
    handled = {line.encode() for line in output.split()}
    again: list[Record] = []
    retried = consume(topic.config, topic.name, "group", again.append, member="task", stall_timeout=20)
    assert handled | {record.key for record in again} == set(numbers(3_000))
    assert 900 < retried.count < 3_000  # some of it was committed, and what was not is handled again
    assert topic.lag("group") == 0


def test_a_process_whose_place_was_taken_commits_nothing(topic: Topic) -> None:
    produce(topic.config, topic.name, records(100), "d")
    taken, told, second = threading.Event(), threading.Event(), []

    def wait(batch: list[Record]) -> None:
        taken.set()
        told.wait(30)

    def take_over() -> None:
        second.append(consume(topic.config, topic.name, "group", wait, member="task", batch=True).count)

    thread = threading.Thread(target=take_over)

    def handle(batch: list[Record]) -> None:
        thread.start()
        taken.wait(30)

    with pytest.raises(DeliveryError, match="place in the group"):
        consume(topic.config, topic.name, "group", handle, member="task", batch=True)
    told.set()
    thread.join(30)
    assert second == [100]


def test_two_members_share_the_partitions_and_neither_ends_before_all_is_read(topic: Topic) -> None:
    produce(topic.config, topic.name, records(20_000), "d")
    found: dict[str, list[Record]] = {"a": [], "b": []}
    joined = threading.Event()

    def read(name: str) -> None:
        def handle(batch: list[Record]) -> None:
            found[name] += batch
            if name == "a":
                joined.wait(20)  # the other one joins while this one is in the midst of it
            else:
                joined.set()

        consume(topic.config, topic.name, "group", handle, batch=True, member=name, opened=small_polls)
        assert topic.lag("group") == 0

    def small_polls(reader: Reader) -> None:
        reader.pace.most = 500

    threads = [threading.Thread(target=read, args=(name,)) for name in found]
    threads[0].start()
    while not found["a"]:
        threads[0].join(0.1)
    threads[1].start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert found["b"]
    assert {record.key for records in found.values() for record in records} == set(numbers(20_000))
