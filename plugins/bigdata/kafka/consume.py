"""Consume a topic up to where it ended at the start, and commit after the records are handled.

Delivery contract: at least once. The end offsets are read first; records up to them are handed to the handler, in order
per partition, and only after the handler has returned for all of a poll's records are their offsets committed. A crash
before a commit hands those records to the handler again; a crash after it does not. A handler that raises stops the
call, and nothing of that poll is committed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bigdata.errors import DeliveryError
from bigdata.kafka.config import KafkaConfig, reachable
from bigdata.kafka.produce import PROGRESS_SECONDS, Record

log = logging.getLogger(__name__)

POLL_MS = 1_000


@dataclass
class Consumed:
    """What a :func:`consume` read: partition → first offset handled, and the offset after the last."""

    topic: str
    group: str
    count: int = 0
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)


def consume(
    config: KafkaConfig,
    topic: str,
    group: str,
    handler: Callable[[Record], None],
    start: Mapping[int, int] | None = None,
    idle_timeout: float = 60.0,
) -> Consumed:
    """Hand every record up to the current end of the topic to ``handler``.

    :param start: partition → offset to begin at; where a partition is missing, the group's commit, else the earliest.
    :param idle_timeout: seconds without any record after which the read is given up.
    :raises DeliveryError: the topic does not exist, or its records stopped coming before the end was reached.
    :raises StackError: no broker answers.
    """
    from kafka import KafkaConsumer

    with reachable(config):
        consumer = KafkaConsumer(
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            **config.client_options(),
        )
    try:
        with reachable(config):
            ends = _assign(consumer, topic, start or {})
        return _read(consumer, topic, group, handler, ends, idle_timeout)
    finally:
        consumer.close(autocommit=False)


def _assign(consumer: Any, topic: str, start: Mapping[int, int]) -> dict[Any, int]:
    """Take all partitions by hand, without a group rebalance, and say where each ends now."""
    from kafka import TopicPartition

    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    if not partitions:
        raise DeliveryError(topic, 0, 0, "the topic does not exist")
    consumer.assign(partitions)
    for partition in partitions:
        if partition.partition in start:
            consumer.seek(partition, start[partition.partition])
    ends: dict[Any, int] = consumer.end_offsets(partitions)
    return ends


def _read(
    consumer: Any, topic: str, group: str, handler: Callable[[Record], None], ends: dict[Any, int], idle_timeout: float
) -> Consumed:
    result = Consumed(topic, group)
    with _told(result, ends):
        first = {partition: consumer.position(partition) for partition in ends}
    last_record = last_progress = time.monotonic()
    while True:
        with _told(result, ends):
            behind = {part.partition: (at, end) for part, end in ends.items() if (at := consumer.position(part)) < end}
            if not behind:
                break
            batches = consumer.poll(timeout_ms=POLL_MS)
        if batches:
            last_record = time.monotonic()
            _handle(consumer, batches, handler, ends, result)
        elif time.monotonic() - last_record > idle_timeout:
            where = ", ".join(f"{partition}: {at} of {end}" for partition, (at, end) in behind.items())
            raise DeliveryError(topic, sum(ends.values()), result.count, f"no record for {idle_timeout:g} s ({where})")
        if time.monotonic() - last_progress >= PROGRESS_SECONDS:
            last_progress = time.monotonic()
            log.info("%d records of %s handled", result.count, topic)
    result.offsets = {part.partition: (first[part], max(first[part], ends[part])) for part in sorted(ends)}
    log.info("%d records of %s handled, offsets committed for group %s", result.count, topic, group)
    return result


def _handle(
    consumer: Any,
    batches: dict[Any, list[Any]],
    handler: Callable[[Record], None],
    ends: dict[Any, int],
    result: Consumed,
) -> None:
    from kafka import OffsetAndMetadata

    commits = {}
    for partition, messages in batches.items():
        wanted = [message for message in messages if message.offset < ends[partition]]
        for message in wanted:
            headers = tuple((name, value) for name, value in message.headers or ())
            handler(Record(message.key, message.value, headers, message.partition, message.offset))
        result.count += len(wanted)
        if wanted:
            commits[partition] = OffsetAndMetadata(wanted[-1].offset + 1, "", -1)
    if commits:
        with _told(result, ends):
            consumer.commit(commits)


@contextmanager
def _told(result: Consumed, ends: Mapping[Any, int]) -> Iterator[None]:
    """Turn an error of the client, not of the handler, into ours, with what was handled so far."""
    from kafka.errors import KafkaError

    try:
        yield
    except KafkaError as error:
        why = f"reading stopped: {type(error).__name__}: {error}"
        raise DeliveryError(result.topic, sum(ends.values()), result.count, why) from error
