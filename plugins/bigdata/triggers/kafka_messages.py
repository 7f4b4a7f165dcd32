"""Messages that start DAGs: one consumer for all who watch the same topics, and a commit behind each stored event.

Delivery contract, on Airflow's shared streams in ack mode (``airflow.triggers.shared_stream``):

1. The consumer reads a record; every watcher of the stream gets it, and makes an event of it or passes.
2. Airflow stores the events, and with them asset events and the runs they start.
3. Only when all watchers' events are stored is the record's offset committed to the group.

A crash before 2 delivers the record again. One between 2 and 3, too: its event comes a second time, with the same
topic, partition and offset in it, by which a DAG can tell. Nothing is lost. An event that Airflow cannot store in time
holds the commit and brings the record again. A record that is no JSON, or too large for Airflow's database, makes an
event all the same, see :func:`bigdata.kafka.events.described`.

Watchers that subscribe after the others, as when a triggerer starts, have ``[triggerer]
shared_stream_cohort_grace_period`` seconds before the first record is read.

A stream ends at its triggerer's edge. Where two triggerers have watchers of one group, each would get a part of the
records and commit them for both, so neither reads any until one of them leaves: they say so in their logs. Watchers in
several triggerers need groups of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

log = logging.getLogger(__name__)

_POLL_MS = 500
#: records without a commit at most; Airflow fails watchers whose queue (1024 by default) overflows
_OUTSTANDING = 200
_PAUSE = 0.2
# The consumer may have to wait for Airflow to store events for a long time.
_MAX_POLL_INTERVAL_MS = 3_600_000

_SHARED = (
    "Group %s has another member, most likely another triggerer that watches %s too. Neither is given any message now, "
    "as each would miss the other's: give the watchers in each triggerer a group of their own, or run one triggerer"
)
_ALONE = "Group %s has no other member any more: messages of %s come again"

GROUP = "bigdata.watcher"


class Place(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int


class KafkaMessages(SharedStreamProducer):
    """The consumer of a stream.

    :param group: whose commits say what was delivered. A topic that it has never read begins at its end, which is
        committed before anything is read, so that a crash does not move it.
    """

    def __init__(self, topics: Sequence[str], kafka_conn_id: str, group: str) -> None:
        self.topics, self.kafka_conn_id, self.group = list(topics), kafka_conn_id, group
        self._consumer: Any = None
        self._lock = asyncio.Lock()  # the client is for one thread at a time
        self._outstanding = 0
        #: topic and partition → offset of a record that has to come again before anything behind it is committed
        self._held: dict[Hashable, int] = {}
        self._config: Any = None
        self._generation, self._is_shared = -1, False

    async def open_stream(self) -> AsyncIterator[tuple[Any, Place]]:
        """Yield records and their places."""
        from bigdata.kafka.events import Message
        from bigdata.kafka.waits import to_record

        self._consumer = await self._connect()
        while True:
            if self._outstanding >= _OUTSTANDING:
                await asyncio.sleep(_PAUSE)
                continue
            batches = await self._call(self._poll, _OUTSTANDING - self._outstanding)
            for found in [found for batch in batches.values() for found in batch]:
                self._outstanding += 1
                yield Message(to_record(found)), Place(found.topic, found.partition, found.offset)

    def get_advance_lane(self, broker_payload: Place) -> Hashable:
        """Commits wait for each other within a partition only."""
        return broker_payload.topic, broker_payload.partition

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Commit what was stored or refused, in order; what was not comes again, with all that is behind it."""
        from kafka import OffsetAndMetadata, TopicPartition

        self._outstanding -= len(batch)
        lane = self.get_advance_lane(batch[0].broker_payload)
        part = TopicPartition(*lane)  # type: ignore[misc]
        done = -1
        for item in batch:
            offset = item.broker_payload.offset
            held = self._held.get(lane)
            if held is not None and offset > held:
                continue  # it comes again behind the held one
            if not (item.outcome.acked or item.outcome.rejected) or item.outcome.failed:
                self._held[lane] = offset
                await self._call(self._again, part, offset)
                break
            done = offset
            self._held.pop(lane, None)
        if done >= 0:
            await self._call(self._consumer.commit, {part: OffsetAndMetadata(done + 1, "", -1)}, 30_000)

    async def aclose(self) -> None:
        """Leave the group."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            async with self._lock:
                await asyncio.to_thread(consumer.close, False, 10_000)

    async def _connect(self) -> Any:
        from asgiref.sync import sync_to_async

        from bigdata import connections
        from bigdata.kafka.config import reachable
        from bigdata.kafka.topics import require_topic

        config = self._config = await sync_to_async(connections.kafka)(self.kafka_conn_id)

        def connect() -> Any:
            from kafka import KafkaConsumer

            for topic in self.topics:
                require_topic(config, topic)
            with reachable(config):
                consumer = KafkaConsumer(
                    group_id=self.group,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",  # of partitions that are added later
                    isolation_level="read_committed",
                    max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
                    **config.consumer_options(),
                )
                for topic in self.topics:
                    _begin(consumer, topic)
                consumer.subscribe(self.topics)
                return consumer

        return await asyncio.to_thread(connect)

    async def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        async with self._lock:
            return await asyncio.to_thread(method, *args)

    def _poll(self, most: int) -> dict[Any, list[Any]]:
        consumer = self._consumer
        batches: dict[Any, list[Any]] = consumer.poll(_POLL_MS, most)
        if not self._is_alone():
            for part, records in batches.items():
                consumer.seek(part, records[0].offset)
            consumer.pause(*consumer.assignment())
            return {}
        consumer.resume(*consumer.paused())
        return batches

    def _is_alone(self) -> bool:
        from kafka.errors import KafkaError

        from bigdata.kafka.membership import members

        generation = self._consumer.group_metadata().generation_id
        if generation != self._generation:  # somebody came or went
            try:
                is_shared = members(self._config, self.group) > 1
            except KafkaError as error:
                log.warning("Group %s: nobody says who is in it: %s", self.group, error)
                return False
            if is_shared != self._is_shared:
                log.warning(_SHARED if is_shared else _ALONE, self.group, ", ".join(self.topics))
            self._is_shared, self._generation = is_shared, generation
        return not self._is_shared

    def _again(self, part: Any, offset: int) -> None:
        if part in self._consumer.assignment():  # else whoever has it begins at the commit
            self._consumer.seek(part, offset)


def _begin(consumer: Any, topic: str) -> None:
    from kafka import OffsetAndMetadata, TopicPartition

    parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    if all(consumer.committed(part) is None for part in parts):
        ends = consumer.end_offsets(parts)
        consumer.commit({part: OffsetAndMetadata(ends[part], "", -1) for part in parts})


class KafkaMessageTrigger(BaseEventTrigger):
    """For an ``AssetWatcher``: an event for each message of the topics, or for those that fit.

    The event holds topic, partition, offset, timestamp, key, headers and value; see
    :func:`bigdata.kafka.events.described`.

    :param topics: triggers with the same topics, connection and group share one consumer.
    :param key: only messages with this key.
    :param fields: only messages whose JSON value holds this; dots reach into objects.
    :param group: of the consumer, which keeps in its commits what was delivered.
    """

    def __init__(
        self,
        topics: Sequence[str],
        kafka_conn_id: str = "kafka_default",
        group: str = GROUP,
        key: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.topics, self.kafka_conn_id, self.group = sorted(topics), kafka_conn_id, group
        self.key, self.fields = key, dict(fields or {})

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See :class:`BaseEventTrigger`."""
        arguments = {
            "topics": self.topics,
            "kafka_conn_id": self.kafka_conn_id,
            "group": self.group,
            "key": self.key,
            "fields": self.fields,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def shared_stream_key(self) -> Hashable:
        """See :class:`BaseEventTrigger`."""
        return "bigdata-kafka", tuple(self.topics), self.kafka_conn_id, self.group

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> KafkaMessages:
        """See :class:`BaseEventTrigger`."""
        return KafkaMessages(kwargs["topics"], kwargs["kafka_conn_id"], kwargs["group"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """An event for each message that fits."""
        from bigdata.kafka.waits import reach

        async for message in shared_stream:
            if self.key is not None and message.event["key"] != self.key:
                continue
            if any(reach(message.value, path) != wanted for path, wanted in self.fields.items()):
                continue
            yield TriggerEvent(message.event)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Not used: Airflow drives shared streams by :meth:`filter_shared_stream`."""
        raise NotImplementedError("a KafkaMessageTrigger runs in a triggerer's shared stream only")
        yield
