"""Values as bytes and back; what does not fit is a bad record, and the message never quotes it."""

from __future__ import annotations

import datetime
import decimal
import math
from typing import Any

import pytest

from bigdata.errors import ConfigError
from bigdata.kafka.encoding import encode
from bigdata.kafka.formats import Avro, Bytes, Format, Json, make
from bigdata.kafka.records import BadRecord, Record

PASSENGER = {
    "type": "record",
    "name": "Passenger",
    "fields": [
        {"name": "PassengerId", "type": "int"},
        {"name": "Name", "type": "string"},
        {"name": "Age", "type": ["null", "double"], "default": None},
    ],
}
BRAUND = {"PassengerId": 1, "Name": "Braund, Mr. Owen Härris", "Age": 22.0}


def read(value_format: Format, data: bytes | None) -> Any:
    return value_format.decode(Record(None, data))


@pytest.mark.parametrize("value_format", [Json(), Avro(PASSENGER)], ids=["json", "avro"])
def test_a_row_comes_back_as_it_was(value_format: Format) -> None:
    assert read(value_format, value_format.encode(BRAUND)) == BRAUND


@pytest.mark.parametrize("value_format", [Json(), Avro(PASSENGER), Bytes()], ids=["json", "avro", "bytes"])
def test_a_tombstone_stays_one(value_format: Format) -> None:
    assert value_format.encode(None) is None
    assert read(value_format, None) is None


def test_json_writes_what_rows_of_parquet_hold() -> None:
    value = {"day": datetime.date(1912, 4, 15), "fare": decimal.Decimal("7.25"), "name": "Ö"}
    assert Json().encode(value) == '{"day":"1912-04-15","fare":"7.25","name":"Ö"}'.encode()


@pytest.mark.parametrize("value", [{"x": object()}, {"x": math.nan}, {1, 2}])
def test_what_json_cannot_say_is_a_bad_record(value: Any) -> None:
    with pytest.raises(BadRecord, match="cannot be written as JSON"):
        Json().encode(value)


@pytest.mark.parametrize(
    ("data", "message"), [(b"{", "not JSON"), (b"\xff{}", "not UTF-8.*byte 0"), (b"[" * 100_000, "not JSON")]
)
def test_what_is_no_json_is_a_bad_record(data: bytes, message: str) -> None:
    with pytest.raises(BadRecord, match=message):
        read(Json(), data)


@pytest.mark.parametrize(
    "value",
    [
        {"PassengerId": "one", "Name": "x"},
        {"Name": "x"},
        {"PassengerId": 1, "Name": "x", "Deck": "C"},
        {"PassengerId": 2**40, "Name": "x"},
        [1],
        "text",
    ],
    ids=["type", "missing", "unknown", "too large", "list", "text"],
)
def test_what_does_not_fit_the_schema_is_a_bad_record(value: Any) -> None:
    with pytest.raises(BadRecord, match="Avro schema"):
        Avro(PASSENGER).encode(value)


@pytest.mark.parametrize("cut", [slice(0, 0), slice(0, 1), slice(0, 5), slice(0, -1)])
def test_half_a_value_is_a_bad_record(cut: slice) -> None:
    data = Avro(PASSENGER).encode(BRAUND)
    assert data
    with pytest.raises(BadRecord, match="Avro schema"):
        read(Avro(PASSENGER), data[cut])


def test_bytes_that_are_left_over_are_a_bad_record() -> None:
    with pytest.raises(BadRecord, match="2 bytes are left over"):
        read(Avro(PASSENGER), (Avro(PASSENGER).encode(BRAUND) or b"") + b"{}")


def test_a_message_never_quotes_a_name() -> None:
    with pytest.raises(BadRecord) as error:
        Json().encode({"Name": "Braund", "x": object()})
    assert "Braund" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "schema", "message"),
    [
        ("xml", None, "format 'xml': must be one of bytes, json, avro"),
        ("avro", None, "needs a schema"),
        ("avro", {"type": "recrod"}, "not an Avro schema"),
        ("json", PASSENGER, "the format is json"),
    ],
)
def test_a_wrong_format_is_told(name: str, schema: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(name, schema)


def test_rows_get_key_and_headers_by_column_or_function() -> None:
    made = list(encode([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}], Json(), "id", lambda row: {"v": row["v"], "n": 1}))
    assert [(record.key, record.headers) for record in made] == [
        (b"1", (("v", b"a"), ("n", b"1"))),
        (b"2", (("v", b"b"), ("n", b"1"))),
    ]
    (made_of_text,) = encode(["text"], Bytes(), lambda text: text[:1], {"h": "x"})
    assert made_of_text == Record(b"t", b"text", (("h", b"x"),))


def test_a_record_keeps_what_it_says_itself() -> None:
    (made,) = encode([Record(b"k", {"n": 1}, (("own", b"1"),), partition=2)], Json(), "id", {"added": "2"})
    assert made == Record(b"k", b'{"n":1}', (("own", b"1"), ("added", b"2")), partition=2)


def test_a_row_that_does_not_fit_is_named_by_its_number() -> None:
    with pytest.raises(BadRecord, match="record 2: no key 'id' in it"):
        list(encode([{"id": 1}, {"di": 2}], Json(), "id"))
