"""Consume, transform and produce, exactly once.

Delivery contract: what is made of some records and the offset behind these records are in one transaction. Readers with
``read_committed`` see the results of each record once, whatever ends this process and wherever:

- before a commit: the next try begins where the last commit stands; what was open is aborted;
- after it: the next try begins behind it;
- a process that was taken for dead and is not: its transaction is refused, as the group has another member in its
  place (its generation goes with the offsets) and the transactional id another owner.

The handler's own side effects are at least once, as with :mod:`bigdata.kafka.consume`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from bigdata.errors import ConfigError, DeliveryError
from bigdata.kafka.bounds import Bounds
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import PROGRESS_SECONDS, Consumed
from bigdata.kafka.dead_letters import DeadLetters
from bigdata.kafka.handling import Decode, Handling
from bigdata.kafka.outbox import DELIVERY_TIMEOUT, Outbox
from bigdata.kafka.pace import too_slow
from bigdata.kafka.reader import STALL_TIMEOUT, Reader
from bigdata.kafka.records import DELIVERY_HEADER, Record
from bigdata.kafka.topics import require_topic

log = logging.getLogger(__name__)

#: records and seconds of one transaction at most: its commit costs some round trips, and readers wait for it
TRANSACTION_RECORDS = 20_000
TRANSACTION_SECONDS = 5.0
#: seconds after which the brokers abort a transaction whose process is gone, or too slow
TRANSACTION_TIMEOUT = 300.0


def transform(
    config: KafkaConfig,
    topic: str,
    group: str,
    handler: Callable[[Any], Record | Iterable[Record] | None],
    output_topic: str,
    transactional_id: str,
    *,
    batch: bool = False,
    bounds: Bounds | None = None,
    member: str = "",
    decode: Decode | None = None,
    dead_letter_topic: str = "",
    delivery: str = "",
    delivery_timeout: float = DELIVERY_TIMEOUT,
    stall_timeout: float = STALL_TIMEOUT,
    opened: Callable[[Reader], None] = lambda reader: None,
) -> Consumed:
    """Write what ``handler`` makes of each record, until the bounds are reached.

    :param handler: gets a :class:`Record`, or a list of them if ``batch``; returns the records to write, if any. One
        that names another topic goes there, else to ``output_topic``; so does the record it was given with another
        value (``record._replace(value=…)``), by its key, with its headers and its time.
    :param transactional_id: the same in each try of a task, and in no other task.
    :param delivery: put into a header of what is written.
    :param dead_letter_topic: see :func:`bigdata.kafka.consume.consume`, as for the other arguments.
    :raises DeliveryError: a topic does not exist, records stopped coming, or a transaction was not committed.
    :raises BadRecord: naming topic, partition and offset.
    :raises StackError: no broker answers, or it does not let us in.
    """
    if topic in (output_topic, dead_letter_topic):
        raise ConfigError(f"topic {topic}: what is made of its records cannot go to the same topic")
    for name in filter(None, (output_topic, dead_letter_topic)):
        require_topic(config, name)
    with ExitStack() as stack:
        outbox = Outbox(
            config,
            delivery_timeout=delivery_timeout,
            transactional_id=transactional_id,
            transaction_timeout=TRANSACTION_TIMEOUT,
        )
        stack.callback(outbox.abort)
        reader = Reader(config, topic, group, bounds, member=member, stall_timeout=stall_timeout)
        stack.callback(reader.close)
        opened(reader)
        dead = DeadLetters(outbox, dead_letter_topic, group) if dead_letter_topic else None
        handling = Handling(handler, batch=batch, decode=decode, dead_letters=dead)
        work = _Transactions(reader, outbox, output_topic, delivery)
        reader.settle = work.commit
        for batches in reader:
            work.begin()
            work.add(batches, handling(batches))
        work.commit()
    result = Consumed(topic, group, reader.count, handling.dead, work.produced, reader.spans())
    log.info("%d records of %s made %d for %s, exactly once", result.count, topic, result.produced, output_topic)
    return result


class _Transactions:
    """Gathers polls into transactions of a bounded size."""

    def __init__(self, reader: Reader, outbox: Outbox, output_topic: str, delivery: str) -> None:
        self._reader, self._outbox, self._topic = reader, outbox, output_topic
        self._headers = ((DELIVERY_HEADER, delivery.encode()),) if delivery else ()
        self._open: dict[Any, list[Any]] = {}
        self._group: Any = None
        self._records = self._made = 0
        self._began = 0.0
        self._told = time.monotonic()
        self.produced = 0

    def begin(self) -> None:
        """Have a transaction open; what is sent from now on is part of it."""
        if self._group is None:
            # As it is now: if the group changes before the commit, the brokers refuse the commit.
            self._group = self._reader.consumer.group_metadata()
            self._outbox.begin()
            self._began = time.monotonic()

    def add(self, batches: dict[Any, list[Any]], results: list[Any]) -> None:
        """Take what one poll brought and what was made of it; commit if that is enough for one transaction."""
        for result in results:
            for record in (result,) if isinstance(result, Record) else result:
                if record.topic == self._reader.topic:  # the record that was read, changed
                    record = record._replace(topic="", partition=-1)
                self._outbox.send(record.topic or self._topic, record, self._headers)
                self._made += 1
        for part, messages in batches.items():
            self._open[part] = messages[-1:]
            self._records += len(messages)
        if self._records >= TRANSACTION_RECORDS or time.monotonic() - self._began >= TRANSACTION_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Commit what is open, if anything."""
        if self._group is None:
            return
        offsets = self._reader.offsets(self._open)
        took = time.monotonic() - self._began
        try:
            self._outbox.commit(offsets, self._group)
        except DeliveryError as error:
            if took < TRANSACTION_TIMEOUT:
                raise
            why_not = too_slow(self._records, took, TRANSACTION_TIMEOUT, "the brokers wait for a transaction")
            raise DeliveryError(self._topic, self._made, 0, why_not) from error
        self._reader.committed(offsets, self._records)
        self.produced += self._made
        self._open, self._group, self._records, self._made = {}, None, 0, 0
        if time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._told = time.monotonic()
            log.info("%d records of %s made %d", self._reader.count, self._reader.topic, self.produced)
