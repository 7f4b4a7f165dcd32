"""What one waits for at the brokers, asked once: None when it is so, else one line that says what is missing.

Nothing here commits or joins a group, so that a look changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bigdata.kafka.config import KafkaConfig, admin_of, reachable
from bigdata.kafka.formats import Json
from bigdata.kafka.records import BadRecord, Record
from bigdata.kafka.topics import describe_topic, require_topic

_POLL_MS = 500


def topic_missing(config: KafkaConfig, topic: str, partitions: int = 1) -> str | None:
    """Whether a topic is there, with at least so many partitions, each with a leader.

    :raises StackError: no broker answers.
    """
    found = describe_topic(config, topic)
    if found is None:
        return f"topic {topic} does not exist"
    if found.partitions < partitions:
        return f"topic {topic} has {found.partitions} partitions of {partitions}"
    if found.leaderless:
        return f"topic {topic}: no leader for partitions {', '.join(map(str, found.leaderless))}"
    return None


def lag(config: KafkaConfig, topic: str, group: str) -> dict[int, int]:
    """Records between a group's commits and the end, by partition; all that is kept, where it never committed.

    :raises DeliveryError: the topic does not exist.
    :raises StackError: no broker answers.
    """
    from kafka import KafkaConsumer, TopicPartition

    require_topic(config, topic)
    with reachable(config):
        options = config.consumer_options() | {"enable_auto_commit": False, "isolation_level": "read_committed"}
        consumer = KafkaConsumer(group_id=group, **options)
        try:
            parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
            ends, starts = consumer.end_offsets(parts), consumer.beginning_offsets(parts)
            done = {part: consumer.committed(part) for part in parts}
        finally:
            consumer.close(autocommit=False)
    return {part.partition: ends[part] - max(done[part] or 0, starts[part]) for part in parts}


def ends(config: KafkaConfig, topic: str) -> dict[int, int]:
    """Partition → offset behind the last record.

    :raises DeliveryError: the topic does not exist.
    :raises StackError: no broker answers.
    """
    from kafka import KafkaConsumer, TopicPartition

    require_topic(config, topic)
    with reachable(config):
        consumer = KafkaConsumer(**config.consumer_options())
        try:
            parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
            return {part.partition: end for part, end in consumer.end_offsets(parts).items()}
        finally:
            consumer.close(autocommit=False)


def lag_left(config: KafkaConfig, topic: str, group: str, most: int = 0) -> str | None:
    """Whether a group has read all but ``most`` records."""
    behind = {partition: count for partition, count in lag(config, topic, group).items() if count > 0}
    total = sum(behind.values())
    if total <= most:
        return None
    where = ", ".join(f"{partition}: {count}" for partition, count in behind.items())
    return f"group {group} is {total} records behind in {topic} ({where})"


def cluster_unready(config: KafkaConfig, brokers: int = 1, topics: Iterable[str] = ()) -> str | None:
    """Whether so many brokers are there, and all replicas of these topics in sync.

    :raises StackError: no broker answers at all.
    """
    with reachable(config), admin_of(config) as admin:
        found = [broker for broker in admin.describe_cluster()["brokers"] if not broker.get("is_fenced")]
    if len(found) < brokers:
        return f"{len(found)} of {brokers} brokers are there"
    for topic in topics:
        if missing := topic_missing(config, topic):
            return missing
        described = require_topic(config, topic)
        if described.in_sync < described.replicas:
            return f"topic {topic}: {described.in_sync} of {described.replicas} replicas are in sync"
    return None


@dataclass
class Search:
    """Looks for a record in a topic; where it has looked is plain data, so that another process can go on.

    :param key: the record's key, or None for any.
    :param fields: what the record's JSON value must hold; dots reach into objects.
    :param matches: any further condition.
    :param offsets: partition → offset to look at next; where one is missing, ``latest`` or the earliest.
    :param latest: begin at the end, for records that come from now on.
    """

    topic: str
    key: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    matches: Callable[[Record], bool] | None = None
    offsets: dict[int, int] = field(default_factory=dict)
    latest: bool = False

    def look(self, config: KafkaConfig, seconds: float) -> Record | None:
        """Read on for so long, or up to the first record that fits; its value stays bytes.

        :raises DeliveryError: the topic does not exist.
        :raises StackError: no broker answers.
        """
        import time

        from kafka import KafkaConsumer

        with reachable(config):
            options = config.consumer_options() | {"enable_auto_commit": False, "auto_offset_reset": "earliest"}
            consumer = KafkaConsumer(group_id=None, isolation_level="read_committed", **options)
            try:
                self._seek(config, consumer)
                deadline = time.monotonic() + seconds
                while True:
                    for part, messages in consumer.poll(_POLL_MS).items():
                        for message in messages:
                            self.offsets[part.partition] = message.offset + 1
                            if self._fits(record := to_record(message)):
                                return record
                    if time.monotonic() >= deadline:
                        return None
            finally:
                consumer.close(autocommit=False)

    def _seek(self, config: KafkaConfig, consumer: Any) -> None:
        from kafka import TopicPartition

        require_topic(config, self.topic)
        parts = [TopicPartition(self.topic, number) for number in sorted(consumer.partitions_for_topic(self.topic))]
        first = consumer.end_offsets(parts) if self.latest else consumer.beginning_offsets(parts)
        consumer.assign(parts)
        for part in parts:
            consumer.seek(part, self.offsets.setdefault(part.partition, first[part]))

    def _fits(self, record: Record) -> bool:
        if self.key is not None and record.key != self.key.encode():
            return False
        if self.fields:
            try:
                value = Json().decode(record)
            except BadRecord:
                return False
            if any(reach(value, path) != wanted for path, wanted in self.fields.items()):
                return False
        return self.matches is None or bool(self.matches(record))


def to_record(message: Any) -> Record:
    """A ConsumerRecord as ours."""
    return Record(
        message.key, message.value, message.headers, message.partition, message.offset, message.topic, message.timestamp
    )


def reach(value: Any, path: str) -> Any:
    """What is at a path such as ``order.id`` in JSON; None where there is nothing."""
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value
