"""Values as bytes and back: raw, JSON, Avro.

A value that does not fit is :class:`bigdata.kafka.records.BadRecord`, whose message never quotes the value. A registry
that does not answer is a :class:`bigdata.errors.StackError`: no fault of the record, which stays where it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from io import BytesIO
from typing import Any, Protocol

from bigdata.errors import ConfigError
from bigdata.kafka.records import BadRecord, Record

Schema = Mapping[str, Any]


class FormatName(StrEnum):
    """How values are written."""

    BYTES = "bytes"
    JSON = "json"
    AVRO = "avro"


class Format(Protocol):
    """Makes bytes of values and values of bytes; None stays None, a tombstone."""

    def encode(self, value: Any) -> bytes | None:
        """Make bytes of a value.

        :raises BadRecord: it does not fit.
        """

    def decode(self, record: Record) -> Any:
        """Make a value of a record's bytes.

        :raises BadRecord: they are something else.
        """


class Bytes:
    """As they are; text is encoded as UTF-8."""

    def encode(self, value: Any) -> bytes | None:
        """See :class:`Format`."""
        if value is None or isinstance(value, bytes):
            return value
        if isinstance(value, str):
            return value.encode()
        raise BadRecord(f"bytes or text expected, found {type(value).__name__}")

    def decode(self, record: Record) -> Any:
        """See :class:`Format`."""
        return record.value


class Json:
    """JSON in UTF-8; dates and decimals are written as text."""

    def encode(self, value: Any) -> bytes | None:
        """See :class:`Format`."""
        if value is None:
            return None
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_text).encode()
        except (TypeError, ValueError) as error:
            raise BadRecord(f"cannot be written as JSON: {error}") from None

    def decode(self, record: Record) -> Any:
        """See :class:`Format`."""
        if record.value is None:
            return None
        try:
            return json.loads(record.value)
        except UnicodeDecodeError as error:
            raise BadRecord(f"not UTF-8: {error.reason} at byte {error.start}") from None
        except (ValueError, RecursionError) as error:
            raise BadRecord(f"not JSON: {str(error) or type(error).__name__}") from None


class Avro:
    """Avro by one schema that writer and reader have agreed on; the bytes hold the value alone.

    :raises ConfigError: it is no Avro schema.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = parse(schema)

    def encode(self, value: Any) -> bytes | None:
        """See :class:`Format`."""
        return None if value is None else write(self._schema, value)

    def decode(self, record: Record) -> Any:
        """See :class:`Format`."""
        return None if record.value is None else read(self._schema, record.value)


def make(
    name: FormatName | str, schema: Schema | None = None, registry: Callable[[Schema | None], Format] | None = None
) -> Format:
    """The format of a name.

    :param registry: makes the format whose schemas are in a registry; Avro then needs a schema only to write.
    :raises ConfigError: there is no such format, or its schema is missing or wrong.
    """
    try:
        chosen = FormatName(name)
    except ValueError:
        raise ConfigError(f"format {name!r}: must be one of {', '.join(FormatName)}") from None
    if chosen is FormatName.AVRO:
        if registry:
            return registry(schema)
        if schema is None:
            raise ConfigError("format avro needs a schema, or a connection with schema.registry.url")
        return Avro(schema)
    if schema is not None:
        raise ConfigError(f"a schema is given, but the format is {chosen}")
    return Json() if chosen is FormatName.JSON else Bytes()


def parse(schema: Schema) -> Any:
    """An Avro schema, checked.

    :raises ConfigError: it is none.
    """
    import fastavro
    from fastavro.schema import SchemaParseException

    try:
        return fastavro.parse_schema(dict(schema))
    except (SchemaParseException, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"not an Avro schema: {type(error).__name__}: {error}") from None


def write(schema: Any, value: Any) -> bytes:
    """An Avro value's bytes.

    :raises BadRecord: it does not fit the schema.
    """
    import fastavro
    from fastavro.validation import ValidationError, validate

    file = BytesIO()
    try:
        # The writer alone would write a number that is too large for the schema's type.
        validate(value, schema, strict=False)
        fastavro.schemaless_writer(file, schema, value, strict_allow_default=True)
    except ValidationError as error:
        fields = ", ".join(sorted({str(found.field) for found in error.errors if found.field}))
        raise BadRecord(f"does not fit the Avro schema: {fields or 'the value as a whole'}") from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise BadRecord(f"does not fit the Avro schema: {str(error) or type(error).__name__}") from None
    return file.getvalue()


def read(schema: Any, data: bytes, reader_schema: Any = None) -> Any:
    """The value of an Avro value's bytes, all of them.

    :raises BadRecord: they are no value of the schema.
    """
    import fastavro
    from fastavro.read import SchemaResolutionError

    file = BytesIO(data)
    try:
        value = fastavro.schemaless_reader(file, schema, reader_schema)
    except (
        SchemaResolutionError,
        EOFError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        OverflowError,
        MemoryError,
    ) as error:
        raise BadRecord(f"not of the Avro schema: {str(error) or type(error).__name__}") from None
    if rest := len(data) - file.tell():
        raise BadRecord(f"not of the Avro schema: {rest} bytes are left over")
    return value


def _text(value: Any) -> str:
    import datetime
    import decimal
    import uuid

    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
