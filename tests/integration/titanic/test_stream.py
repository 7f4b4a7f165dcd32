"""The proof of a stream sees each record that is lost, doubled or made up; batches are written here without Spark."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bigdata.errors import DataError, DeliveryError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.logs import quiet
from bigdata.kafka.produce import produce
from bigdata.kafka.topics import ensure_topic
from bigdata.kafka.waits import ends
from bigdata.storage.objects import ObjectStore, ensure_bucket
from bigdata.titanic import stream

from ..kafka.records import Topic, records

pytestmark = pytest.mark.integration

Place = tuple[int, int]


@dataclass
class Written:
    """A topic, and a stream of it that a test writes."""

    kafka: KafkaConfig
    fs: Any
    bucket: str
    topic: str

    @property
    def base(self) -> str:
        return f"{self.bucket}/{self.topic}"

    def send(self, count: int) -> list[Place]:
        """Send so many records; returns where those are that readers see."""
        before = set(self.places())
        produce(self.kafka, self.topic, records(count), uuid4().hex)
        return [place for place in self.places() if place not in before]

    def abort(self, count: int) -> list[Place]:
        """Send so many records in a transaction that is aborted; returns where they are, though no reader sees them."""
        from kafka import KafkaProducer

        producer = KafkaProducer(transactional_id=self.topic, **self.kafka.producer_options())
        producer.init_transactions()
        producer.begin_transaction()
        sent = [producer.send(self.topic, record.value).get(timeout=30) for record in records(count)]
        producer.abort_transaction()
        producer.close()
        return [(found.partition, found.offset) for found in sent]

    def places(self) -> list[Place]:
        return [(record.partition, record.offset) for record in Topic(self.kafka, self.topic).read()]

    def deliver(self, number: int, places: Iterable[Place], begin: dict[int, int], **changes: Any) -> dict[int, int]:
        """Deliver records as a batch that ends where the topic does; every fifth is a reject. Returns its end."""
        end, found = ends(self.kafka, self.topic), defaultdict(list)
        for index, place in enumerate(places):
            found["rejects" if index % 5 == 4 else "rows"].append(place)
        entry: dict[str, Any] = {"format": 1, "batch": number, "topic": self.topic, "from": begin, "to": end}
        for name in ("rows", "rejects"):
            file = f"batches/{number}/{name}-{uuid4().hex}.parquet"
            columns = {
                "topic": [self.topic] * len(found[name]),
                "partition": [partition for partition, _ in found[name]],
                "offset": [offset for _, offset in found[name]],
                "reason": ["is not JSON"] * len(found[name]),
            }
            pq.write_table(pa.table(columns), f"{self.base}/{file}", filesystem=self.fs)
            entry |= {name: len(found[name]), f"{name}_files": [file]}
        with self.fs.open_output_stream(f"{self.base}/log/{number:012}.json") as out:
            out.write(json.dumps(entry | changes).encode())
        return end

    def prove(self) -> stream.Proof:
        return stream.prove(self.kafka, self.fs, self.base, self.topic)


@pytest.fixture
def written(kafka: KafkaConfig, store: ObjectStore) -> Written:
    quiet()
    ensure_bucket(store, "test-proofs")
    topic = f"test.{uuid4().hex[:8]}"
    ensure_topic(kafka, topic, 2)
    return Written(kafka, store.filesystem(), "test-proofs", topic)


def test_each_record_once_is_proven_and_not_looked_at_again(written: Written) -> None:
    first = written.deliver(0, written.send(20), {})
    proof = written.prove()
    assert (proof.batches, proof.rows, proof.rejects, sum(proof.counts.values())) == (1, 16, 4, 20)
    assert len(proof.reasons) == 3
    assert proof.reasons[0].startswith(f"{written.topic}[")
    assert proof.reasons[0].endswith(": is not JSON")

    assert written.prove() == stream.Proof()
    written.deliver(1, written.send(5), first)
    proof = written.prove()
    assert (proof.batches, proof.rows, proof.rejects) == (1, 4, 1)
    assert {partition: begin for partition, (begin, _) in proof.offsets.items()} == first


def test_what_was_never_streamed_has_nothing_to_prove(written: Written) -> None:
    assert written.prove() == stream.Proof()


def test_aborted_records_are_none(written: Written) -> None:
    places = written.send(5)
    written.abort(20)
    written.deliver(0, [*places, *written.send(5)], {})
    assert sum(written.prove().counts.values()) == 10


def test_a_lost_record_is_named(written: Written) -> None:
    places = written.send(20)
    partition, offset = places[7]
    written.deliver(0, places[:7] + places[8:], {})
    with pytest.raises(DeliveryError, match=r"20 records sent, 19 accounted for: 1 lost") as caught:
        written.prove()
    assert f"{written.topic}[{partition}]@{offset}" in str(caught.value)
    with pytest.raises(DeliveryError):
        written.prove()  # and is not forgotten


def test_a_doubled_record_is_named(written: Written) -> None:
    places = written.send(20)
    partition, offset = places[3]
    written.deliver(0, [*places, places[3]], {})
    with pytest.raises(DeliveryError, match=r"20 records sent, 21 accounted for: 1 doubled") as caught:
        written.prove()
    assert str(caught.value).endswith(f"{written.topic}[{partition}]@{offset}")


def test_a_record_that_the_topic_has_not_is_named(written: Written) -> None:
    places, (aborted, *_) = written.send(5), written.abort(5)
    written.deliver(0, [*places, aborted], {})
    with pytest.raises(DeliveryError, match=rf"1 not in the topic: {written.topic}\[{aborted[0]}\]@{aborted[1]}$"):
        written.prove()


def test_a_record_of_another_batch_is_named(written: Written) -> None:
    places = written.send(5)
    written.deliver(0, [*places, (0, 1000)], {})
    with pytest.raises(DataError, match="batch 0 has offsets .* of partition 0, but its own are"):
        written.prove()


def test_files_that_hold_other_than_the_log_says_are_named(written: Written) -> None:
    written.deliver(0, written.send(5), {}, rows=7)
    with pytest.raises(DataError, match="batch 0: 7 rows and 1 rejects by its entry, but 5 in its files"):
        written.prove()


def test_records_that_the_topic_has_dropped_since_cannot_be_compared(
    written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    from kafka import KafkaAdminClient, TopicPartition

    written.deliver(0, written.send(20), {})
    admin = KafkaAdminClient(**written.kafka.client_options())
    admin.delete_records({TopicPartition(written.topic, 0): 3})
    admin.close()
    assert sum(written.prove().counts.values()) == 20
    assert "3 records were delivered that the topic has no more" in caplog.text


def test_a_stream_that_did_not_come_to_the_end_is_told(written: Written) -> None:
    end = written.deliver(0, written.send(5), {})
    stream.check_reached(written.fs, written.base, written.topic, end)
    with pytest.raises(DeliveryError, match=rf"{written.topic}\[1\] is read up to {end[1]} of {end[1] + 1}$"):
        stream.check_reached(written.fs, written.base, written.topic, end | {1: end[1] + 1})
