"""The Titanic CSV: which columns it has, which lines are passengers, and why the others are not.

A record is one line: a quoted field may hold the separator and doubled quotes, but no line break. Fields are taken as
they are, spaces included. Blank lines do not count. A row is rejected for another number of columns, a number that is
none or not finite, an empty PassengerId, Survived or Pclass, broken UTF-8, an unclosed quote, or a length of more than
MAX_LINE_BYTES.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

COLUMNS = {
    "PassengerId": "int",
    "Survived": "int",
    "Pclass": "int",
    "Name": "string",
    "Sex": "string",
    "Age": "double",
    "SibSp": "int",
    "Parch": "int",
    "Ticket": "string",
    "Fare": "double",
    "Cabin": "string",
    "Embarked": "string",
}
REQUIRED = ("PassengerId", "Survived", "Pclass")
PASSENGERS = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
REJECTS = "file string, row bigint, reason string, raw string"
# The CSV parser dies of more columns than it was told to expect. A line within this limit cannot have more.
MAX_LINE_BYTES = 65536
NOT_BLANK = "trim(value) <> ''"
QUOTES = "(octet_length(value) - octet_length(replace(value, '\"', '')))"


def header_problem(head: bytes, separator: str) -> str:
    """Say what is wrong with the header, given a file's first bytes; empty if nothing is. A byte order mark is fine."""
    line = re.split(rb"[\r\n]", head.removeprefix(b"\xef\xbb\xbf"), maxsplit=1)[0]
    if not line.strip():
        return "the first line is blank: it must be the header"
    try:
        names = next(csv.reader([line.decode()], delimiter=separator), [])
    except (UnicodeDecodeError, csv.Error):
        return "the header is not UTF-8 text: convert the file to UTF-8"
    expected = list(COLUMNS)
    if names == expected:
        return ""
    if len(names) <= 1:
        guess = next(
            (repr(other) for other in ";,\t|" if line.count(other.encode()) == len(expected) - 1), "another one"
        )
        return f"the header has 1 column, not {len(expected)}, with separator {separator!r}: is the separator {guess}?"
    missing = [name for name in expected if name not in names]
    extra = [name for name in names if name not in expected]
    problems = [f"{label} {_shortened(some)}" for label, some in (("missing", missing), ("unexpected", extra)) if some]
    if problems:
        return f"the header has {len(names)} columns, not the expected {len(expected)}: {'; '.join(problems)}"
    if len(names) != len(expected):
        return (
            f"the header names a column twice: {_shortened(sorted({name for name in names if names.count(name) > 1}))}"
        )
    at = next(index for index, name in enumerate(names) if name != expected[index])
    return f"the columns are in another order: column {at + 1} is {names[at]}, expected {expected[at]}"


def _shortened(names: Sequence[str], most: int = 5) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name[:40]) for name in names[:most]) + rest


def parsed(lines: DataFrame, separator: str) -> DataFrame:
    """Add `record`, the typed fields, and `valid` to lines of text. A header line is not valid either."""
    checks = [
        *(f"record.{name} IS NOT NULL" for name in REQUIRED),
        *(
            f"NOT isnan(coalesce(record.{name} - record.{name}, 0))"
            for name, kind in COLUMNS.items()
            if kind == "double"
        ),
        "record.corrupt IS NULL",
        "is_valid_utf8(value)",
        f"(NOT contains(value, '\"') OR {QUOTES} % 2 = 0)",
    ]
    return lines.withColumn("record", _fields(COLUMNS, separator)).withColumn("valid", F.expr(" AND ".join(checks)))


def _fields(columns: dict[str, str], separator: str) -> Column:
    """Parse `value`. Fields that cannot be read are null, and then, or if there are more or fewer, `corrupt` is not."""
    schema = ", ".join(f"{name} {kind}" for name, kind in {**columns, "corrupt": "string"}.items())
    options = {
        "sep": separator,
        "escape": '"',
        "columnNameOfCorruptRecord": "corrupt",
        "maxColumns": str(MAX_LINE_BYTES + 1),
    }
    return F.when(
        F.octet_length("value") <= MAX_LINE_BYTES, F.from_csv("value", schema, {"mode": "PERMISSIVE", **options})
    )


def rejects(lines: DataFrame, separator: str) -> DataFrame:
    """Find the rows that cannot be read: file, row, reason, raw.

    Spark cuts files into blocks, and a task reads some blocks one after the other: the row is a line's place in its
    block plus the lines in the blocks before.
    """
    numbered = lines.select(
        "value",
        F.col("_metadata.file_path").alias("file"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("id"),
    )
    before = Window.partitionBy("file").orderBy("block").rowsBetween(Window.unboundedPreceding, -1)
    blocks = numbered.groupBy("file", "block").agg(F.count("*").alias("n"), F.min("id").alias("first"))
    blocks = blocks.select(
        "file", "block", (F.coalesce(F.sum("n").over(before), F.lit(0)) + 1 - F.col("first")).alias("to_row")
    )
    invalid = parsed(numbered, separator).where(f"NOT valid AND {NOT_BLANK}")
    found = invalid.join(F.broadcast(blocks), ["file", "block"]).withColumn("row", F.col("id") + F.col("to_row"))
    texts = found.where("row > 1").withColumn("text", _fields(dict.fromkeys(COLUMNS, "string"), separator))
    return texts.select(
        F.expr("url_decode(replace(file, '+', '%2B'))").alias("file"),  # Spark gives it as in a URL
        "row",
        _reason(separator).alias("reason"),
        F.expr("make_valid_utf8(value)").alias("raw"),
    )


def _reason(separator: str) -> Column:
    """Say why `value`, `record` when typed and `text` when not, is no passenger: the first reason that applies."""
    outside_quotes = F.regexp_replace("value", '"[^"]*"', "")
    found = F.length(outside_quotes) - F.length(F.replace(outside_quotes, F.lit(separator), F.lit(""))) + 1
    reason = (
        F.when(F.octet_length("value") > MAX_LINE_BYTES, F.lit(f"is longer than {MAX_LINE_BYTES} bytes"))
        .when(
            F.expr("NOT is_valid_utf8(value)"),
            F.expr("concat('broken UTF-8 at character ', instr(make_valid_utf8(value), '\ufffd'))"),
        )
        .when(F.expr(f"{QUOTES} % 2 = 1"), F.lit("a quote is not closed"))
        .when(found != len(COLUMNS), F.format_string(f"expected {len(COLUMNS)} columns, found %d", found))
    )
    for name, kind in COLUMNS.items():
        raw, read = F.col(f"text.{name}"), F.col(f"record.{name}")
        if name in REQUIRED:
            reason = reason.when(raw.isNull(), F.lit(f"{name}: is empty"))
        if kind != "string":
            bad = read.isNull() | F.isnan(read - read)
            what = "a whole number" if kind == "int" else "a number"
            reason = reason.when(
                raw.isNotNull() & bad, F.format_string(f"{name}: '%s' is not {what}", F.left(raw, F.lit(40)))
            )
    return reason.otherwise("cannot be read as CSV")
