"""Anything as records: rows, pairs, texts; with their keys and headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from bigdata.kafka.formats import Bytes, Format
from bigdata.kafka.records import BadRecord, Record

#: names a column of the row, or computes the key
Key = str | Callable[[Any], Any]
#: the same for each record, or computed
RecordHeaders = Mapping[str, Any] | Callable[[Any], Mapping[str, Any]]

_BYTES = Bytes()


def encode(
    items: Iterable[Any], value_format: Format, key: Key | None = None, headers: RecordHeaders | None = None
) -> Iterator[Record]:
    """Make a record of each item, lazily.

    An item is a :class:`Record`, which goes as it is, but for a value that is not bytes yet; or the value itself.

    :param key: column of the item, or a function of it.
    :raises BadRecord: naming the item by its number, from 1.
    """
    for number, item in enumerate(items, 1):
        try:
            yield _encode(item, value_format, key, headers)
        except BadRecord as error:
            raise BadRecord(f"record {number}: {error}") from None


def _encode(item: Any, value_format: Format, key: Key | None, headers: RecordHeaders | None) -> Record:
    added = tuple(_headers(item, headers)) if headers else ()
    if isinstance(item, Record):
        value = item.value if isinstance(item.value, bytes) else value_format.encode(item.value)
        return item._replace(value=value, headers=(*item.headers, *added))
    return Record(_key(item, key), value_format.encode(item), added)


def _key(item: Any, key: Key | None) -> bytes | None:
    if key is None:
        return None
    try:
        found = key(item) if callable(key) else item[key]
    except (KeyError, IndexError, TypeError) as error:
        raise BadRecord(f"no key {key!r} in it: {type(error).__name__}: {error}") from None
    return _bytes(found)


def _headers(item: Any, headers: RecordHeaders) -> Iterator[tuple[str, bytes]]:
    for name, value in (headers(item) if callable(headers) else headers).items():
        yield str(name), _bytes(value) or b""


def _bytes(value: Any) -> bytes | None:
    """As they are; text and numbers as text."""
    if isinstance(value, (int, float)):
        value = str(value)
    return _BYTES.encode(value)
