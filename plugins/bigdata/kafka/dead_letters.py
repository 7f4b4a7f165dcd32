"""Records that nobody can use, kept with the reason in a topic of their own.

Delivery contract: a dead letter is acknowledged before the offset of the record is committed, or is part of the same
transaction. It has the record's key, value and headers as they were, and says in further headers where the record was
and why it is here; a crash between the two may write it twice, with the same ``dead_letter.offset``.
"""

from __future__ import annotations

from typing import Any

from bigdata.kafka.outbox import Outbox
from bigdata.kafka.records import Record

_LONGEST_REASON = 1_000


class DeadLetters:
    """Where bad records go.

    :param topic: must exist.
    :param group: of the reader that refuses them.
    """

    def __init__(self, outbox: Outbox, topic: str, group: str) -> None:
        self._outbox, self.topic, self._group = outbox, topic, group

    def send(self, message: Any, reason: Exception) -> None:
        """Send a ConsumerRecord there; acknowledged when the outbox is flushed."""
        said = {
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
            "timestamp": message.timestamp,
            "group": self._group,
            "reason": str(reason)[:_LONGEST_REASON],
            "error": type(reason).__name__,
        }
        headers = [(f"dead_letter.{name}", str(value).encode()) for name, value in said.items()]
        value = b"" if message.key is None and message.value is None else message.value
        self._outbox.send(self.topic, Record(message.key, value, (*message.headers, *headers)))
