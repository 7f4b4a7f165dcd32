"""Records by number, and what a topic holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.records import Record

KIBIBYTE = b"x" * 1024


def records(count: int, first: int = 0, value: bytes = b"{}") -> Iterator[Record]:
    """Records whose keys are numbers, made one by one."""
    return (Record(str(number).encode(), value) for number in range(first, first + count))


def numbers(count: int, first: int = 0) -> Counter[bytes]:
    """The keys of :func:`records`, once each."""
    return Counter(str(number).encode() for number in range(first, first + count))


@dataclass
class Topic:
    """A topic of one test."""

    config: KafkaConfig
    name: str

    def read(self) -> list[Record]:
        """All that readers with ``read_committed`` see."""
        found: list[Record] = []
        consume(self.config, self.name, uuid4().hex, found.append, start={}, stall_timeout=20)
        return found

    def keys(self) -> Counter[bytes]:
        """How often each key is there."""
        return Counter(record.key or b"" for record in self.read())

    def lag(self, group: str) -> int:
        """Records between a group's commits and the end."""
        from kafka import KafkaConsumer, TopicPartition

        options = self.config.consumer_options() | {"isolation_level": "read_committed"}
        consumer = KafkaConsumer(group_id=group, **options)
        try:
            parts = [TopicPartition(self.name, number) for number in consumer.partitions_for_topic(self.name)]
            return sum(end - (consumer.committed(part) or 0) for part, end in consumer.end_offsets(parts).items())
        finally:
            consumer.close()
