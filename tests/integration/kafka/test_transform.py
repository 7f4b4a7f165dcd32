"""Exactly once from topic to topic: whatever ends a process, and wherever, each record's result is seen once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bigdata.errors import ConfigError, DeliveryError
from bigdata.kafka.consume import Consumed
from bigdata.kafka.produce import produce
from bigdata.kafka.records import BadRecord, Record
from bigdata.kafka.transform import transform

from .conftest import PROGRAM
from .records import Topic, numbers, records

pytestmark = pytest.mark.integration


def copy(record: Record) -> Record:
    return Record(record.key, record.value)


@pytest.fixture
def output(make_topic: Callable[..., Topic]) -> Topic:
    return make_topic()


def run(topic: Topic, output: Topic, handler: Callable[..., object] = copy, name: str = "task") -> Consumed:
    return transform(
        topic.config,
        topic.name,
        "group",
        handler,  # type: ignore[arg-type]
        output.name,
        f"test.{topic.name}.{name}",
        member=name,
        stall_timeout=30,
    )


def test_each_record_is_written_once_and_none_again_by_the_next_run(topic: Topic, output: Topic) -> None:
    produce(topic.config, topic.name, records(30_000), "d")
    first = run(topic, output)
    assert (first.count, first.produced) == (30_000, 30_000)
    assert run(topic, output).count == 0
    produce(topic.config, topic.name, records(10, first=30_000), "d")
    assert run(topic, output).produced == 10
    assert output.keys() == numbers(30_010)
    assert topic.lag("group") == 0


def test_a_record_may_become_none_or_several_in_any_topic(
    topic: Topic, output: Topic, make_topic: Callable[..., Topic]
) -> None:
    other = make_topic()
    produce(topic.config, topic.name, records(30), "d")

    def spread(record: Record) -> Iterator[Record]:
        number = int(record.key or b"")
        if number % 3:
            yield Record(record.key, b"third")
        if number % 2:
            yield Record(record.key, b"half", topic=other.name)

    assert run(topic, output, spread).produced == 35
    assert set(output.keys()) == {str(n).encode() for n in range(30) if n % 3}
    assert set(other.keys()) == {str(n).encode() for n in range(30) if n % 2}


def test_dead_letters_are_in_the_same_transaction(
    topic: Topic, output: Topic, make_topic: Callable[..., Topic]
) -> None:
    dead = make_topic()
    produce(topic.config, topic.name, records(100), "d")

    def refuse(record: Record) -> Record:
        if record.key == b"50":
            raise BadRecord("no 50")
        if record.key == b"99" and fail:
            raise RuntimeError("after 50")
        return copy(record)

    fail = True
    call = [topic.config, topic.name, "group", refuse, output.name, "test.dead"]
    with pytest.raises(RuntimeError, match="after 50"):
        transform(*call, dead_letter_topic=dead.name)
    assert dead.read() == output.read() == []
    fail = False
    done = transform(*call, dead_letter_topic=dead.name)
    assert (done.count, done.produced, done.dead) == (100, 99, 1)
    assert dead.keys() == Counter([b"50"])


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("handler", id="while a record is handled"),
        pytest.param("Outbox.commit = die", id="before a commit"),
        pytest.param(
            "def commit(self, offsets, group):\n"
            "    self._producer.send_offsets_to_transaction(dict(offsets), group)\n"
            "    self.flush()\n"
            "    die()\n"
            "Outbox.commit = commit",
            id="between the offsets and the commit",
        ),
        pytest.param("Reader.committed = die", id="just behind a commit"),
    ],
)
def test_a_killed_try_loses_nothing_and_doubles_nothing(
    topic: Topic, output: Topic, killed: Callable[[str], str], where: str
) -> None:
    produce(topic.config, topic.name, records(3_000), "d")
    killed(f"""
import bigdata.kafka.transform as module
module.TRANSACTION_RECORDS = 1_000
Reader.__init__.__kwdefaults__["poll_records"] = 500
left = 2_000
def handle(record):
    global left
    left -= 1
    if not left and {where == "handler"}:
        die()
    return Record(record.key, record.value)
{"" if where == "handler" else where}
transform(config, "{topic.name}", "group", handle, "{output.name}", "test.{topic.name}.task", member="task")
""")
    seen = sum(output.keys().values())
    assert seen < 3_000
    retried = run(topic, output)
    assert retried.count == retried.produced == 3_000 - seen  # it goes on just where the commit stands
    assert output.keys() == numbers(3_000)
    assert topic.lag("group") == 0


def test_a_try_that_was_taken_for_dead_cannot_commit(topic: Topic, output: Topic) -> None:
    produce(topic.config, topic.name, records(100), "d")
    second: list[Consumed] = []

    def slow(record: Record) -> Record:
        if not second:
            second.append(run(topic, output))
        return copy(record)

    with pytest.raises(DeliveryError):
        run(topic, output, slow)
    assert second[0].produced == 100
    assert output.keys() == numbers(100)


def test_a_transaction_that_takes_longer_than_brokers_wait_says_so(
    topic: Topic, output: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bigdata.kafka.transform.TRANSACTION_TIMEOUT", 1.0)
    produce(topic.config, topic.name, records(13), "d")
    left = [13]

    def slow(record: Record) -> Record:
        left[0] -= 1
        if not left[0]:
            time.sleep(11)  # with ten in an open transaction, for whose end brokers look every ten seconds
        return copy(record)

    with pytest.raises(DeliveryError, match=r"13 records were handled in \d+ s, longer than the 1 s"):
        run(topic, output, slow)
    assert output.read() == []
    assert topic.lag("group") == 13


def test_members_come_and_go_in_mid_run(topic: Topic, output: Topic, tmp_path: Path) -> None:
    """Two processes share the partitions, a third is killed while it has some."""
    produce(topic.config, topic.name, records(30_000), "d")
    program = (
        PROGRAM % topic.config.bootstrap_servers
        + f"""
import sys, time
import bigdata.kafka.transform as module
module.TRANSACTION_RECORDS = 700
Reader.__init__.__kwdefaults__["poll_records"] = 100
name, left = sys.argv[1], int(sys.argv[2])
killed = {str(tmp_path / "killed")!r}
def handle(records):
    global left
    left -= 1
    if not left:
        die()
    print("working", flush=True)
    time.sleep(0.02 if os.path.exists(killed) else 0.3)  # nobody is done before the third has its share
    return [Record(record.key, record.value) for record in records]
own = "test.{topic.name}." + name
transform(config, "{topic.name}", "group", handle, "{output.name}", own, member=name, batch=True)
"""
    )
    file = tmp_path / "program.py"
    file.write_text(program)

    def start(name: str, batches: int) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, str(file), name, str(batches)], stdout=subprocess.PIPE, text=True)

    first = start("first", -1)
    assert "working" in (first.stdout or sys.stdin).readline()
    others = [start("second", -1), start("third", 3)]
    assert others[1].wait(90) == -9
    (tmp_path / "killed").touch()
    again = start("third", -1)  # the retry takes the place of the one that was killed
    for process in (first, others[0], again):
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert output.keys() == numbers(30_000)
    assert topic.lag("group") == 0


def test_the_record_that_was_read_may_be_returned_with_another_value(
    topic: Topic, make_topic: Callable[..., Topic]
) -> None:
    output = make_topic(1)
    produce(topic.config, topic.name, [Record(b"k", b"old", (("h", b"1"),), 2, timestamp=1234567890123)], "d")
    run(topic, output, lambda record: record._replace(value=b"new"))
    (found,) = output.read()
    assert (found.key, found.value, found.timestamp, dict(found.headers)["h"]) == (b"k", b"new", 1234567890123, b"1")
    assert len(topic.read()) == 1


@pytest.mark.parametrize("same", ["output", "dead"])
def test_the_results_cannot_go_where_the_records_come_from(topic: Topic, output: Topic, same: str) -> None:
    names = {"output": output.name, "dead": ""} | {same: topic.name}
    with pytest.raises(ConfigError, match="same topic"):
        transform(topic.config, topic.name, "g", copy, names["output"], "t", dead_letter_topic=names["dead"])


def test_a_read_that_is_stopped_commits_what_is_done(topic: Topic, output: Topic) -> None:
    produce(topic.config, topic.name, records(10_000), "d")
    stopped = threading.Event()

    def handle(batch: list[Record]) -> list[Record]:
        stopped.set()
        return [copy(record) for record in batch]

    def stop_after_one(reader: object) -> None:
        reader.stopped = stopped  # type: ignore[attr-defined]
        reader.pace.most = 1_000  # type: ignore[attr-defined]

    call = [topic.config, topic.name, "group", handle, output.name, "test.stop"]
    done = transform(*call, batch=True, opened=stop_after_one)
    assert 0 < done.count < 10_000
    assert sum(output.keys().values()) == done.produced == done.count
