"""A record as JSON-ready data, for an XCom or an event in Airflow's database."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

from bigdata.kafka.records import Record

#: bytes of a value that an event carries at most; it is stored in Airflow's database
LONGEST_VALUE = 64 * 1024


class Message(NamedTuple):
    """A record for those who choose by its content.

    :param event: see :func:`described`.
    :param value: whole, also where the event leaves it out.
    """

    event: dict[str, Any]
    value: Any


def described(record: Record) -> dict[str, Any]:
    """Where a record is and what it holds.

    ``value`` is the JSON value, or the text; ``encoding`` says ``json``, ``text``, ``base64``, or ``omitted`` for one
    that is larger than :data:`LONGEST_VALUE`, which can be read where the record is.
    """
    return message(record).event


def message(record: Record) -> Message:
    """A record, described and whole."""
    encoding, value = _value(record.value)
    is_large = record.value is not None and len(record.value) > LONGEST_VALUE
    event = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "value": None if is_large else value,
        "encoding": "omitted" if is_large else encoding,
        "headers": {name: data.decode(errors="replace") for name, data in record.headers},
    }
    return Message(event, value)


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
