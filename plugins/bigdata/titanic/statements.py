"""What an event says of a passenger, in one statement."""

from __future__ import annotations

from typing import Any

from bigdata.kafka.records import DELIVERY_HEADER, BadRecord, Record

#: header by which a statement names the delivery of its event
SOURCE_HEADER = "source"
_CHILD = 16


def statement(record: Record) -> Record:
    """Make the statement of an event; it has the event's key.

    :raises BadRecord: the event is no passenger.
    """
    row = record.value
    if not isinstance(row, dict) or row.get("Survived") not in (0, 1) or row.get("Sex") not in ("female", "male"):
        raise BadRecord("no passenger: Survived (0 or 1) and Sex (female or male) are needed")
    made = {
        "PassengerId": row.get("PassengerId"),
        "group": _group(row),
        "class": row.get("Pclass"),
        "saved": row["Survived"] == 1,
    }
    source = dict(record.headers).get(DELIVERY_HEADER, b"")
    return Record(record.key, made, ((SOURCE_HEADER, source),))


def _group(row: dict[str, Any]) -> str:
    age = row.get("Age")
    if age is not None and age < _CHILD:
        return "child"
    return "woman" if row["Sex"] == "female" else "man"
