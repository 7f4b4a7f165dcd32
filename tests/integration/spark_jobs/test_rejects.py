"""Which lines are no passengers, and how a person finds them again."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from .conftest import GOOD, HEADER, Run

pytestmark = pytest.mark.integration

Csv = Callable[..., Path]


def rejects(output: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(pq.read_table(output / result["rejects"]).to_pylist(), key=lambda row: (row["file"], row["row"]))


def passengers(output: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    return pq.read_table(output / result["passengers"]).to_pylist()


def changed(**fields: str) -> str:
    """A good line with some fields changed."""
    values = dict(zip(HEADER.split(";"), GOOD.split(";"), strict=True)) | fields
    return ";".join(values.values())


BAD: list[tuple[str | bytes, str]] = [
    (changed(Age="abc"), "Age: 'abc' is not a number"),
    (changed(Age="NaN"), "Age: 'NaN' is not a number"),
    (changed(Age="Infinity"), "Age: 'Infinity' is not a number"),
    (changed(Fare="1e999"), "Fare: '1e999' is not a number"),
    (changed(Fare="7,25"), "Fare: '7,25' is not a number"),
    (changed(Pclass="3.0"), "Pclass: '3.0' is not a whole number"),
    (changed(Pclass=" 3"), "Pclass: ' 3' is not a whole number"),
    (changed(SibSp="one"), "SibSp: 'one' is not a whole number"),
    (changed(PassengerId="99999999999"), "PassengerId: '99999999999' is not a whole number"),
    (changed(PassengerId="x" * 99), f"PassengerId: '{'x' * 40}' is not a whole number"),
    (changed(PassengerId=""), "PassengerId: is empty"),
    (changed(Survived=""), "Survived: is empty"),
    (changed(Pclass='""'), "Pclass: is empty"),
    (";" * 11, "PassengerId: is empty"),
    (";".join("1" * 200), "expected 12 columns, found 200"),
    (";".join("1" * 30_000), "expected 12 columns, found 30000"),
    (GOOD + ";", "expected 12 columns, found 13"),
    ("1;0;3", "expected 12 columns, found 3"),
    (GOOD.replace(";", ","), "expected 12 columns, found 1"),
    (changed(Name='"Braund; Mr."') + ";x", "expected 12 columns, found 13"),
    (changed(Name="x" * 70_000), "is longer than 65536 bytes"),
    (changed(Name='"Braund'), "a quote is not closed"),
    (changed(Embarked='"S'), "a quote is not closed"),
    (changed(Name='5" gun'), "a quote is not closed"),
    (GOOD.encode().replace(b"Owen", b"Ow\xffen"), "broken UTF-8 at character 21"),
    (GOOD.encode() + b"\xc3", "broken UTF-8 at character 55"),
    (GOOD.encode().replace(b"22.0", b"2\x802.0"), "broken UTF-8 at character 30"),
    (HEADER, "PassengerId: 'PassengerId' is not a whole number"),
]


def test_each_bad_line_is_told_by_row_and_reason_and_kept(csv: Csv, run: Run, tmp_path: Path) -> None:
    source = csv(*(line for line, _ in BAD), GOOD)

    result = run(source, tmp_path / "out", "--max-reject-ratio=1").result

    assert (result["rows_in"], result["rows_out"], result["rows_rejected"]) == (len(BAD) + 1, 1, len(BAD))
    found = rejects(tmp_path / "out", result)
    assert [(row["row"], row["reason"]) for row in found] == [(n, reason) for n, (_, reason) in enumerate(BAD, start=2)]
    assert [row["raw"] for row in found] == [
        line if isinstance(line, str) else line.decode(errors="replace") for line, _ in BAD
    ]
    assert {row["file"] for row in found} == {f"file:{source}"}


def test_what_looks_odd_but_is_a_passenger(csv: Csv, run: Run, tmp_path: Path) -> None:
    source = csv(
        changed(PassengerId="1", Name='"Dyer; Miss. Ellen ""Nellie"""', Age="", Cabin=""),
        changed(PassengerId="2", Name="Sjöblom \ufffd 😀", Age="0.42", Fare="1e1"),
        changed(PassengerId="3", Name="", Sex='""', SibSp="", Parch="", Ticket="", Fare="", Embarked=""),
        changed(PassengerId="4", Name=" spaces ", Age="-1"),
        changed(PassengerId="-5", Age="22"),
    )

    result = run(source, tmp_path / "out").result

    assert result["rows_rejected"] == 0
    one, two, three, four, five = sorted(passengers(tmp_path / "out", result), key=lambda row: abs(row["PassengerId"]))
    assert (one["Name"], one["Age"], one["Cabin"]) == ('Dyer; Miss. Ellen "Nellie"', None, None)
    assert (two["Name"], two["Age"], two["Fare"]) == ("Sjöblom \ufffd 😀", 0.42, 10.0)
    assert set(three.values()) == {3, 0, 22.0, None}
    assert (four["Name"], four["Age"]) == (" spaces ", -1.0)
    assert (five["PassengerId"], five["Age"]) == (-5, 22.0)


def test_a_stray_quote_takes_its_own_line_only(csv: Csv, run: Run, tmp_path: Path) -> None:
    source = csv(GOOD, changed(Name='"Braund'), *[GOOD] * 20)

    result = run(source, tmp_path / "out").result

    assert (result["rows_out"], result["rows_rejected"]) == (21, 1)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["unix", "windows", "old-mac"])
def test_blank_lines_are_no_rows_but_count_as_lines(csv: Csv, run: Run, tmp_path: Path, newline: bytes) -> None:
    source = csv("", GOOD, "   ", changed(Age="x"), "", newline=newline)

    result = run(source, tmp_path / "out", "--max-reject-ratio=0.5").result

    assert (result["rows_in"], result["rows_out"]) == (2, 1)
    assert [row["row"] for row in rejects(tmp_path / "out", result)] == [5]
    assert passengers(tmp_path / "out", result)[0]["Embarked"] == "S"


def test_a_byte_order_mark_and_no_newline_at_the_end(csv: Csv, run: Run, tmp_path: Path) -> None:
    source = csv(GOOD, changed(Age="x"))
    source.write_bytes(b"\xef\xbb\xbf" + source.read_bytes().rstrip(b"\n"))

    result = run(source, tmp_path / "out", "--max-reject-ratio=0.5").result

    assert (result["rows_in"], rejects(tmp_path / "out", result)[0]["row"]) == (2, 3)


def test_rows_are_numbered_right_in_files_that_spark_cuts(
    csv: Csv, run: Run, tmp_path: Path, spark: SparkSession
) -> None:
    """Three files in blocks of 2000 bytes, several of them in one task."""
    expected = []
    for name, count, every in (("a.csv", 500, 7), ("b b%20+é.csv", 37, 5), ("c.csv", 1200, 11)):
        lines = [changed(PassengerId="x" if n % every == 0 else str(n), Ticket="t" * (n % 90)) for n in range(2, count)]
        lines[10:10] = ["", ""]
        source = csv(*lines, name=name, newline=b"\r\n" if name == "c.csv" else b"\n")
        expected += [(f"file:{source}", n, line) for n, line in enumerate(lines, 2) if line.startswith("x")]
    spark.conf.set("spark.sql.files.maxPartitionBytes", 2000)
    spark.conf.set("spark.sql.files.openCostInBytes", 300)
    try:
        result = run(tmp_path / "in", tmp_path / "out", "--max-reject-ratio=0.5").result
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
        spark.conf.unset("spark.sql.files.openCostInBytes")

    found = [(row["file"], row["row"], row["raw"]) for row in rejects(tmp_path / "out", result)]
    assert len(list((tmp_path / "out" / result["passengers"]).glob("*.parquet"))) > 20
    assert found == sorted(expected)


def test_a_packed_file(csv: Csv, run: Run, tmp_path: Path) -> None:
    plain = csv(GOOD, GOOD, changed(Age="x"))
    packed = plain.with_name("in.csv.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()

    result = run(packed, tmp_path / "out", "--max-reject-ratio=0.5").result

    assert (result["rows_in"], rejects(tmp_path / "out", result)[0]["row"]) == (3, 4)


def test_another_separator(csv: Csv, run: Run, tmp_path: Path) -> None:
    source = csv(
        '1|0|3|"Braund| ""Bob"""|male|22|1|0|A/5|7.25||S', GOOD.replace(";", "|"), header=HEADER.replace(";", "|")
    )

    result = run(source, tmp_path / "out", "--separator=|").result

    assert (result["rows_out"], result["rows_rejected"]) == (2, 0)
    assert {row["Name"] for row in passengers(tmp_path / "out", result)} == {'Braund| "Bob"', "Braund, Mr. Owen"}
