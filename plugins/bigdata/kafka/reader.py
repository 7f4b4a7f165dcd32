"""A consumer that reads one topic within bounds and knows when it is through.

Two ways to take partitions:

- as a member of the group: tasks with the same group share the partitions, and one that dies gives its own to the
  others. With a ``member`` name the next process of that name takes its predecessor's place at once and fences it off;
  without, the brokers wait until the predecessor's session ends (45 s by default).
- by hand, all of them, from given offsets, for reads that verify and may be repeated. The brokers refuse such a
  reader's commits while the group has members.

Nothing is committed here but what :meth:`Reader.commit` is told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from bigdata.errors import DeliveryError
from bigdata.kafka.bounds import Bounds
from bigdata.kafka.config import KafkaConfig, reachable, why
from bigdata.kafka.membership import leave, listener
from bigdata.kafka.pace import Pace, too_slow

log = logging.getLogger(__name__)

POLL_MS = 500
#: seconds without progress before the end after which a read is given up
STALL_TIMEOUT = 60.0
#: seconds that the records of one poll may take, before the group goes on without this member
HANDLING_SECONDS = 600.0
_CLOSE_MS = 10_000


class Reader:
    """Reads one topic; made, iterated once, and closed.

    :param group: whose commits the read begins at; where there are none, at the earliest record.
    :param member: name of this member of the group, the same in each try of a task.
    :param start: partition → offset to begin at; takes all partitions by hand.
    :param poll_records: records that one poll brings at most; slow handlers get fewer (:mod:`bigdata.kafka.pace`).
    :param stall_timeout: seconds without progress after which a read that should reach the end is given up.
    :raises DeliveryError: the topic does not exist.
    :raises StackError: no broker answers, or it does not let us in.
    """

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        group: str,
        bounds: Bounds | None = None,
        *,
        member: str = "",
        start: Mapping[int, int] | None = None,
        poll_records: int = 5_000,
        stall_timeout: float = STALL_TIMEOUT,
    ) -> None:
        from kafka import KafkaConsumer

        self.config, self.topic, self.group, self.bounds = config, topic, group, bounds or Bounds()
        self._member, self._stall_timeout = member, stall_timeout
        self._patience_ms = int(stall_timeout * 1000)
        self.stopped = threading.Event()
        #: commits what the caller has open; called before the group gives partitions to others, and at the end
        self.settle: Callable[[], None] = lambda: None
        #: records that were handed out and committed
        self.count = 0
        self._handed = 0
        #: records of one poll
        self.pace = Pace(poll_records)
        self._polled_at = 0.0
        self._first: dict[Any, int] = {}
        self._by_hand = start is not None
        self._ends: dict[Any, int] = {}
        self._committed: dict[Any, int] = {}
        with reachable(config):
            self.consumer = KafkaConsumer(
                group_id=group,
                group_instance_id=(member or None) if start is None else None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                max_poll_records=poll_records,
                max_poll_interval_ms=int(HANDLING_SECONDS * 1000),
                **config.consumer_options(),
            )
            try:
                self._take(start)
            except BaseException:
                self.close()
                raise

    def __iter__(self) -> Iterator[dict[Any, list[Any]]]:
        """Yield what each poll brings, cut at the bounds: TopicPartition → ConsumerRecords, in order per partition."""
        began = moved = time.monotonic()
        behind: dict[Any, int] = {}
        while not self.stopped.is_set():
            with self.told():
                batches = self._within_bounds(self.consumer.poll(POLL_MS, self._most()))
            if batches:
                self._polled_at = time.monotonic()
                polled = sum(map(len, batches.values()))
                self._handed += polled
                for part, records in batches.items():
                    self._first.setdefault(part, records[0].offset)
                yield batches
                moved = time.monotonic()  # a handler that takes long is not a topic without records
                self.pace.took(polled, moved - self._polled_at)
            if self.bounds.end:
                before, behind = behind, self._behind()
                if not behind:
                    return
                moved = moved if behind == before else time.monotonic()
            now = time.monotonic()
            if self._is_enough(now - began, now - moved):
                return
            if self.bounds.end and not self.bounds.idle and now - moved > self._stall_timeout:
                raise DeliveryError(
                    self.topic, 0, self.count, f"no record for {now - moved:.0f} s: {self._where(behind)}"
                )

    def offsets(self, batches: Mapping[Any, list[Any]]) -> dict[Any, Any]:
        """What to commit once these records are safe: TopicPartition → OffsetAndMetadata."""
        from kafka import OffsetAndMetadata

        return {part: OffsetAndMetadata(records[-1].offset + 1, "", -1) for part, records in batches.items()}

    def commit(self, batches: Mapping[Any, list[Any]]) -> bool:
        """Commit that these records are handled.

        :returns: False when the group has given the partitions to another member meanwhile, which will read them again.
        :raises DeliveryError: the commit failed, another process has this member's name now, or these records took
            longer than the group waits for a member: they would for ever.
        """
        offsets, records = self.offsets(batches), sum(map(len, batches.values()))
        with self.told():
            done = self._is_committed(offsets)
        if done:
            self.committed(offsets, records)
        elif (took := time.monotonic() - self._polled_at) > HANDLING_SECONDS:
            why_not = too_slow(records, took, HANDLING_SECONDS, "its group waits for a member")
            raise DeliveryError(self.topic, 0, self.count, why_not)
        else:
            self._handed -= records
        return done

    def committed(self, offsets: Mapping[Any, Any], records: int) -> None:
        """Take note that offsets behind so many records are committed, here or in a transaction."""
        self._committed |= {part: offset.offset for part, offset in offsets.items()}
        self.count += records

    def spans(self) -> dict[int, tuple[int, int]]:
        """Partition → offsets of the first record handed out and behind the last one committed."""
        found = {
            part.partition: (self._first[part], end) for part, end in self._committed.items() if part in self._first
        }
        return dict(sorted(found.items()))

    def close(self) -> None:
        """Leave the group and end the consumer; what the caller has open is its own to commit or to abort."""
        self.settle = lambda: None  # the client tells of revoked partitions when it is closed, too
        self.consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)
        if self._member and not self._by_hand:
            with suppress(Exception):  # whatever is wrong, the session ends by itself
                leave(self.config, self.group, self._member)

    def told(self) -> _Told:
        """Turn an error of the client into ours, with what was handled so far."""
        return _Told(self)

    def _take(self, start: Mapping[int, int] | None) -> None:
        from kafka import TopicPartition

        if start is None:
            # First of all: subscribing drops what the client knows of topics, and a member that joins without it is
            # given nothing, which costs the group a second rebalance.
            self.consumer.subscribe([self.topic], listener=listener(self))
        parts = [TopicPartition(self.topic, n) for n in sorted(self.consumer.partitions_for_topic(self.topic) or ())]
        if not parts:
            raise DeliveryError(self.topic, 0, 0, "the topic does not exist, or this user may not see it")
        self._ends = self.consumer.end_offsets(parts)
        if start is None:
            return
        self.consumer.assign(parts)
        for part in parts:
            if part.partition in start:
                self.consumer.seek(part, start[part.partition])

    def _most(self) -> int:
        size = self.pace.size
        return min(size, self.bounds.count - self._handed) if self.bounds.count else size

    def _within_bounds(self, batches: Mapping[Any, list[Any]]) -> dict[Any, list[Any]]:
        if not self.bounds.end:
            return dict(batches)
        kept = {}
        for part, records in batches.items():
            end = self._ends.get(part, 0)
            if records[-1].offset >= end:
                self.consumer.pause(part)
                records = [record for record in records if record.offset < end]
            if records:
                kept[part] = records
        return kept

    def _is_enough(self, seconds: float, idle: float) -> bool:
        bounds = self.bounds
        return bool(
            (bounds.count and self._handed >= bounds.count)
            or (bounds.seconds and seconds >= bounds.seconds)
            or (bounds.idle and idle >= bounds.idle)
        )

    def _behind(self) -> dict[Any, int]:
        """Where the group is in each partition that it has not read up to where it ended at the start."""
        with self.told():
            mine = self.consumer.assignment()
            behind = {part: at for part in mine if (at := self.consumer.position(part)) < self._ends.get(part, 0)}
            if behind:
                return behind
            self.settle()
            if not self._commit_rest(mine):
                return dict.fromkeys(mine, 0)
            others = [part for part, end in self._ends.items() if part not in mine and end]
            return {
                part: at
                for part in others
                if (at := self.consumer.committed(part, timeout_ms=self._patience_ms) or 0) < self._ends[part]
            }

    def _commit_rest(self, mine: Iterable[Any]) -> bool:
        """Commit positions behind marks of transactions, which are no records, so that others see no lag there."""
        from kafka import OffsetAndMetadata

        rest = {part: min(self.consumer.position(part), self._ends.get(part, 0)) for part in mine}
        rest = {part: at for part, at in rest.items() if at > self._committed.get(part, -1)}
        if rest and not self._is_committed({part: OffsetAndMetadata(at, "", -1) for part, at in rest.items()}):
            return False
        self._committed |= rest
        return True

    def _is_committed(self, offsets: Mapping[Any, Any]) -> bool:
        from kafka import errors

        gone = (
            errors.CommitFailedError,
            errors.RebalanceInProgressError,
            errors.IllegalGenerationError,
            errors.UnknownMemberIdError,
        )
        try:
            self.consumer.commit(offsets, timeout_ms=self._patience_ms)
        except gone as error:
            log.warning("Not committed, the records will be read again by whoever has them now: %s", why(error))
            return False
        return True

    def _where(self, behind: Mapping[Any, int]) -> str:
        mine = self.consumer.assignment()
        said = [
            f"{part.partition}: {at} of {self._ends[part]}{'' if part in mine else ', with another member'}"
            for part, at in sorted(behind.items())
        ]
        return "; ".join(said)


class _Told:
    """Context manager of :meth:`Reader.told`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from kafka.errors import FencedInstanceIdError, KafkaError

        topic, count = self._reader.topic, self._reader.count
        if isinstance(error, FencedInstanceIdError):
            raise DeliveryError(topic, 0, count, "another process has taken this task's place in the group") from error
        if isinstance(error, KafkaError):
            raise DeliveryError(topic, 0, count, f"reading stopped: {why(error)}") from error
