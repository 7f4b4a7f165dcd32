"""What happens to the records of one poll: decoded, handed over, and the bad ones set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from bigdata.kafka.dead_letters import DeadLetters
from bigdata.kafka.records import BadRecord, Record

_FIELDS = attrgetter(*Record._fields)

#: makes of a record's bytes what the handler gets as its value; raises :class:`BadRecord`
Decode = Callable[[Record], Any]


class Handling:
    """Calls a handler per record or per batch.

    :param handler: gets a :class:`Record`, or a list of them if ``batch``; what it returns is collected.
    :param dead_letters: takes records that cannot be decoded, or that the handler refuses by :class:`BadRecord`; a
        batch that is refused is handed over again record by record, to find out which. Without it, the error is raised.
    """

    def __init__(
        self,
        handler: Callable[[Any], Any],
        *,
        batch: bool = False,
        decode: Decode | None = None,
        dead_letters: DeadLetters | None = None,
    ) -> None:
        self._handler, self._batch, self._decode, self._dead_letters = handler, batch, decode, dead_letters
        #: records that went to the dead-letter topic
        self.dead = 0

    def __call__(self, batches: Mapping[Any, list[Any]]) -> list[Any]:
        """Handle what a poll brought.

        :returns: what the handler returned, call by call, without None.
        :raises BadRecord: there is no dead-letter topic; says where the record is.
        """
        messages = [message for part in batches.values() for message in part]
        return self._whole(messages) if self._batch else self._each(messages, self._handler)

    def _each(self, messages: Iterable[Any], handler: Callable[[Record], Any]) -> list[Any]:
        results, record_of = [], self._record
        for message in messages:
            try:
                result = handler(record_of(message))
            except BadRecord as error:
                self._refuse(message, error)
                continue
            if result is not None:
                results.append(result)
        return results

    def _whole(self, messages: list[Any]) -> list[Any]:
        good, records = [], []
        for message in messages:
            try:
                records.append(self._record(message))
                good.append(message)
            except BadRecord as error:
                self._refuse(message, error)
        if not records:
            return []
        try:
            result = self._handler(records)
        except BadRecord:
            if self._dead_letters is None:
                raise
            return self._each(good, lambda record: self._handler([record]))
        return [] if result is None else [result]

    def _record(self, message: Any) -> Record:
        record = Record._make(_FIELDS(message))
        return record._replace(value=self._decode(record)) if self._decode else record

    def _refuse(self, message: Any, error: BadRecord) -> None:
        if self._dead_letters is None:
            place = f"{message.topic}[{message.partition}]@{message.offset}"
            raise BadRecord(f"{place}: {error}") from error
        self._dead_letters.send(message, error)
        self.dead += 1
