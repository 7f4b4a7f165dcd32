"""What goes to Kafka and comes from it, and the headers by which this library knows its records again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bigdata.errors import DataError

#: names the call that produced a record, so that a reader tells one delivery's records from another's
DELIVERY_HEADER = "delivery"

Headers = Sequence[tuple[str, bytes]]


class Record(NamedTuple):
    """A record to send, or one that was read.

    :param value: bytes, None for a tombstone; what a format made of the bytes where a read was given one.
    :param partition: -1 leaves the choice to the partitioner.
    :param topic: of a record that was read, or where a transformation sends this one.
    :param timestamp: milliseconds since 1970; -1 for the time of sending.
    """

    key: bytes | None
    value: Any
    headers: Headers = ()
    partition: int = -1
    offset: int = -1
    topic: str = ""
    timestamp: int = -1

    @property
    def place(self) -> str:
        """Where it was read, for messages."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


class BadRecord(DataError):
    """A record that cannot be used, now or later: it goes to the dead-letter topic, or ends the task.

    Handlers raise it for a record they refuse. Any other exception is taken for a fault of the handler or of what it
    talks to, and ends the task with nothing committed.
    """
