"""A passenger as a Kafka record: keyed by PassengerId, the row as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bigdata.kafka.produce import Record


def passenger_records(rows: Iterable[Mapping[str, Any]]) -> Iterator[Record]:
    """Make one record a row, lazily."""
    for row in rows:
        yield Record(str(row["PassengerId"]).encode(), json.dumps(row, ensure_ascii=False).encode())
