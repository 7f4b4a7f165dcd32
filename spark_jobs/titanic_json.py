"""A passenger as a Kafka record: which values are passengers, and why the others are not.

A value is one JSON object in UTF-8 with the columns of the CSV, each of its own type: 22 is a number, "22" is none.
What is missing or null is null; fields beyond those are left out. A record is rejected when it has no value, is not
UTF-8 or not JSON, is more than one JSON value or no object, has a field of another type, a number that is not finite,
or no PassengerId, Survived or Pclass.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from titanic_csv import COLUMNS, REQUIRED

#: where a record was, in both datasets
PLACE = {"topic": "string", "partition": "int", "offset": "bigint", "timestamp": "timestamp"}
ROWS = ", ".join(f"{name} {kind}" for name, kind in {**COLUMNS, **PLACE}.items())
REJECTS = ", ".join(f"{name} {kind}" for name, kind in PLACE.items()) + ", reason string, key binary, value binary"

# Jackson stops behind the first JSON value and says nothing of the rest: with one more behind it there must be two.
_COUNT = "json_array_length(concat('[', text, ',0]'))"


def parsed(records: DataFrame) -> DataFrame:
    """Add `text`, `record`, the typed fields, and `valid` to records of Spark's Kafka source."""
    schema = ", ".join(f"{name} {kind}" for name, kind in {**COLUMNS, "corrupt": "string"}.items())
    options = {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "corrupt",
        "allowNonNumericNumbers": "false",
        "allowSingleQuotes": "false",
    }
    checks = [
        "record.corrupt IS NULL",
        "is_valid_utf8(text)",
        f"{_COUNT} = 2",
        *(f"record.{name} IS NOT NULL" for name in REQUIRED),
        *(
            f"NOT isnan(coalesce(record.{name} - record.{name}, 0))"
            for name, kind in COLUMNS.items()
            if kind == "double"
        ),
    ]
    texts = records.withColumn("text", F.col("value").cast("string"))
    typed = texts.withColumn("record", F.from_json("text", schema, options))
    return typed.withColumn("valid", F.expr(f"coalesce({' AND '.join(checks)}, false)"))


def rows(found: DataFrame) -> DataFrame:
    """The passengers of :func:`parsed`, each with its place."""
    return found.where("valid").select(*(f"record.{name}" for name in COLUMNS), *PLACE)


def rejects(found: DataFrame) -> DataFrame:
    """The others of :func:`parsed`, as they were, each with its place and the reason."""
    broken = found.where("NOT valid").withColumn("json", F.expr("try_parse_json(make_valid_utf8(text))"))
    return broken.select(*PLACE, _reason().alias("reason"), "key", "value")


def _reason() -> Column:
    """The first reason that applies."""
    shape = F.expr("schema_of_variant(json)")
    reason = (
        F.when(F.col("value").isNull(), F.lit("has no value"))
        .when(
            F.expr("NOT is_valid_utf8(text)"),
            F.expr("concat('broken UTF-8 at character ', instr(make_valid_utf8(text), '\ufffd'))"),
        )
        .when(F.expr(f"{_COUNT} IS NULL"), F.lit("is not JSON"))
        .when(F.expr(f"{_COUNT} <> 2"), F.lit("is more than one JSON value"))
        .when(~shape.startswith("OBJECT"), F.lit("is no JSON object"))
    )
    for name, kind in COLUMNS.items():
        raw, read = F.expr(f"to_json(try_variant_get(json, '$.{name}', 'variant'))"), F.col(f"record.{name}")
        if name in REQUIRED:
            reason = reason.when(raw.isNull() | (raw == "null"), F.lit(f"{name}: is missing"))
        if kind != "string":
            bad = (read.isNull() & (raw != "null")) | F.isnan(read - read)
            what = "a whole number" if kind == "int" else "a number"
            reason = reason.when(bad, F.format_string(f"{name}: %s is not {what}", F.left(raw, F.lit(40))))
    return reason.otherwise("cannot be read as JSON")
