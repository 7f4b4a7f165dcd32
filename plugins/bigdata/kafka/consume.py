"""Consume a topic, and commit after the records are handled.

Delivery contract: at least once. Records are handed to the handler in order per partition, and only after the handler
has returned for all records of a poll are their offsets committed. A crash before a commit hands those records over
again, to the next try or to whoever has the partition then; a crash after it does not. A handler that raises ends the
call, and nothing of that poll is committed. For exactly once, see :mod:`bigdata.kafka.transform`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from bigdata.kafka.bounds import Bounds
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.dead_letters import DeadLetters
from bigdata.kafka.handling import Decode, Handling
from bigdata.kafka.outbox import Outbox
from bigdata.kafka.reader import STALL_TIMEOUT, Reader
from bigdata.kafka.topics import require_topic

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10


@dataclass
class Consumed:
    """What was read and committed.

    :param count: records read, dead letters among them.
    :param dead: records that went to the dead-letter topic.
    :param produced: records that a transformation wrote.
    :param offsets: partition → first offset read, and the offset behind the last.
    """

    topic: str
    group: str
    count: int = 0
    dead: int = 0
    produced: int = 0
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, for an XCom."""
        return asdict(self) | {"offsets": {str(part): list(span) for part, span in self.offsets.items()}}


def consume(
    config: KafkaConfig,
    topic: str,
    group: str,
    handler: Callable[[Any], Any],
    start: Mapping[int, int] | None = None,
    *,
    batch: bool = False,
    bounds: Bounds | None = None,
    member: str = "",
    decode: Decode | None = None,
    dead_letter_topic: str = "",
    stall_timeout: float = STALL_TIMEOUT,
    opened: Callable[[Reader], None] = lambda reader: None,
) -> Consumed:
    """Hand records to ``handler`` until the bounds are reached; by default up to the current end of the topic.

    :param handler: gets a :class:`Record`, or a list of them if ``batch``.
    :param start: partition → offset to begin at, all partitions by hand; where one is missing, the group's commit, else
        the earliest. None joins the group.
    :param member: name of this member of the group, the same in each try of a task.
    :param decode: makes the value that the handler gets.
    :param dead_letter_topic: where bad records go; without one, a bad record ends the call.
    :param stall_timeout: seconds without any progress after which a read up to the end is given up.
    :param opened: gets the reader, whose ``stopped`` ends the call after the poll at hand.
    :raises DeliveryError: a topic does not exist, or its records stopped coming before the end was reached.
    :raises BadRecord: naming topic, partition and offset.
    :raises StackError: no broker answers, or it does not let us in.
    """
    with ExitStack() as stack:
        outbox = None
        if dead_letter_topic:
            require_topic(config, dead_letter_topic)
            outbox = Outbox(config)
            stack.callback(outbox.abandon)
        reader = Reader(config, topic, group, bounds, member=member, start=start, stall_timeout=stall_timeout)
        stack.callback(reader.close)
        opened(reader)
        dead = DeadLetters(outbox, dead_letter_topic, group) if outbox else None
        handling = Handling(handler, batch=batch, decode=decode, dead_letters=dead)
        next_progress = time.monotonic() + PROGRESS_SECONDS
        for batches in reader:
            handling(batches)
            if outbox:
                outbox.flush()
            reader.commit(batches)
            if time.monotonic() >= next_progress:
                next_progress = time.monotonic() + PROGRESS_SECONDS
                log.info("%d records of %s handled", reader.count, topic)
    result = Consumed(topic, group, reader.count, handling.dead, 0, reader.spans())
    log.info(
        "%d records of %s handled, %d of them dead; committed for group %s", result.count, topic, result.dead, group
    )
    return result
