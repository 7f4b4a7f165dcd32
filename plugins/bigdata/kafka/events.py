"""A record as JSON-ready data, for an XCom or an event in Airflow's database."""

from __future__ import annotations

import base64
import json
from functools import cached_property
from typing import Any

from bigdata.kafka.records import Record

#: bytes of a value that an event carries at most; it is stored in Airflow's database
LONGEST_VALUE = 64 * 1024


class Message:
    """A record for those who choose by its content, which is read when somebody asks."""

    def __init__(self, record: Record) -> None:
        self._record = record

    @cached_property
    def event(self) -> dict[str, Any]:
        """See :func:`described`."""
        record = self._record
        is_large = record.value is not None and len(record.value) > LONGEST_VALUE
        encoding, value = ("omitted", None) if is_large else self._parsed
        return {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": None if record.key is None else record.key.decode(errors="replace"),
            "value": value,
            "encoding": encoding,
            "headers": {name: data.decode(errors="replace") for name, data in record.headers},
        }

    @property
    def value(self) -> Any:
        """Whole, also where the event leaves it out."""
        return self._parsed[1]

    @cached_property
    def _parsed(self) -> tuple[str, Any]:
        return _value(self._record.value)


def described(record: Record) -> dict[str, Any]:
    """Where a record is and what it holds.

    ``value`` is the JSON value, or the text; ``encoding`` says ``json``, ``text``, ``base64``, or ``omitted`` for one
    that is larger than :data:`LONGEST_VALUE`, which can be read where the record is.
    """
    return Message(record).event


def _value(data: bytes | None) -> tuple[str, Any]:
    if data is None:
        return "json", None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(data).decode()
    try:
        return "json", json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return "text", text.replace("\x00", "\ufffd")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
