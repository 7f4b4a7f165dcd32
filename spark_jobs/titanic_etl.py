"""Turn a CSV of Titanic passengers into typed Parquet, and set aside the rows that cannot be read.

    spark-submit titanic_etl.py --input s3a://raw/titanic/titanic.csv --output s3a://curated/titanic

Two datasets are published together; publication.py says how, and what a crash at each point leaves:

* passengers: the columns of titanic_csv.COLUMNS;
* rejects: file, row (the line in that file, the header is 1), reason, raw (the line).

A clean file is read once: rows are checked, counted and written in the same pass. Only if there are rejects, a second
pass finds them again and numbers their lines. Nothing is published unless rows in = rows out + rejected, as counted in
the files written, and at most --max-reject-ratio of the rows, and never all, are rejects.

The last line is ``RESULT {json}``, the pointer that was published; or ``JobError: ...`` with status 1, and then nothing
has changed. Credentials come from the environment alone. The modules that it imports must lie beside this file.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from hadoop import JobError, Store, explained
from publication import Publication
from titanic_csv import COLUMNS, MAX_LINE_BYTES, NOT_BLANK, PASSENGERS, REJECTS, header_problem, parsed, rejects


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; exits with status 2 and a usage line when it is wrong."""
    parser = argparse.ArgumentParser(prog="titanic_etl", description="Titanic CSV to Parquet, with rejects set aside.")
    parser.add_argument("--input", required=True, metavar="URI", help="a CSV file, a folder or a glob of them")
    parser.add_argument(
        "--output", required=True, metavar="URI", help="where to publish: s3a://bucket/prefix or file:/folder"
    )
    parser.add_argument(
        "--version", default="run", metavar="TEXT", help="goes into the version's name, such as a run id"
    )
    parser.add_argument(
        "--max-reject-ratio", type=_ratio, default=0.1, metavar="0..1", help="more rejects fail the job"
    )
    parser.add_argument("--separator", type=_separator, default=";", metavar="CHAR")
    return parser.parse_args(argv)


def _ratio(text: str) -> float:
    if re.fullmatch(r"\d*\.?\d+(e-?\d+)?", text) and float(text) <= 1:
        return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")


def _separator(text: str) -> str:
    text = "\t" if text == "\\t" else text
    if len(text) == 1 and text not in '"\r\n':
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not one character, or not one that can separate fields")


def input_files(store: Store, source: str, separator: str) -> list[str]:
    """All input files, each with the right header.

    :raises JobError: naming the file and what is wrong with it.
    """
    found = store.files(source)
    if not found:
        raise JobError(f"{source}: does not exist, or holds no files")
    for name, size in found:
        if size == 0:
            raise JobError(f"{name}: is empty: it must start with a header line")
        if problem := header_problem(store.head(name, MAX_LINE_BYTES), separator):
            raise JobError(f"{name}: {problem}")
    return [name for name, _ in found]


def run(spark: SparkSession, args: argparse.Namespace) -> dict[str, Any]:
    """Do the whole job; returns what was published.

    :raises JobError: if the input cannot be used or too many rows are rejected; then nothing has changed.
    """
    # All passes must cut files into the same blocks, however many executors have joined in between.
    if not spark.conf.get("spark.sql.files.minPartitionNum", None):
        spark.conf.set("spark.sql.files.minPartitionNum", str(spark.sparkContext.defaultParallelism))
    files = input_files(Store(spark, args.input), args.input, args.separator)
    publication = Publication(Store(spark, args.output), args.output, args.version)
    say(f"reading {len(files)} file(s) from {args.input}")
    try:
        counts = write(spark, args, files, publication)
        pointer = publication.publish(("passengers", "rejects"), {"input": args.input, **counts})
    except BaseException:
        tolerated(publication.discard, args.output, "could not remove what this run wrote")
        raise
    say(f"published {publication.version}")
    tolerated(publication.prune, args.output, "could not remove old versions")
    return pointer


def tolerated(clean_up: Callable[[], Any], uri: str, problem: str) -> None:
    """Clean up; its failure is no reason to change the outcome, as a later run does it again."""
    try:
        clean_up()
    except Exception as error:
        say(f"{problem}: {explained(error, uri)[0]}")


def write(spark: SparkSession, args: argparse.Namespace, files: list[str], publication: Publication) -> dict[str, int]:
    """Write both datasets of a version; returns how many rows went where."""
    lines = spark.read.text(files)
    seen = Observation()
    rows = parsed(lines, args.separator).select(
        "record.*", "valid", F.expr(f"NOT valid AND {NOT_BLANK}").alias("invalid")
    )
    rows = rows.observe(seen, F.count_if("valid").alias("valid"), F.count_if("invalid").alias("invalid"))
    save(rows.where("valid").select(*COLUMNS), publication.folder("passengers"))
    invalid = seen.get["invalid"] - len(files)  # each file's header is one
    rows_in = seen.get["valid"] + invalid
    if rows_in == 0:
        raise JobError(f"{args.input}: has a header but no rows")
    found = rejects(lines, args.separator) if invalid else spark.createDataFrame([], REJECTS)
    if invalid == rows_in or invalid > args.max_reject_ratio * rows_in:
        raise JobError(f"{args.input}: {_too_many(found, invalid, rows_in, args.max_reject_ratio)}")
    save(found, publication.folder("rejects"))
    rows_out = spark.read.schema(PASSENGERS).parquet(publication.folder("passengers")).count()
    rows_rejected = spark.read.schema(REJECTS).parquet(publication.folder("rejects")).count()
    say(f"{rows_in} rows in, {rows_out} out, {rows_rejected} rejected")
    if rows_in != rows_out + rows_rejected:
        counts = f"{rows_in} rows in, but {rows_out} out and {rows_rejected} rejected"
        raise JobError(f"{args.input}: {counts}: did the file change meanwhile? Run again")
    return {"rows_in": rows_in, "rows_out": rows_out, "rows_rejected": rows_rejected}


def _too_many(found: DataFrame, invalid: int, rows_in: int, allowed: float) -> str:
    first = [f"{row.file} row {row.row}: {row.reason}" for row in found.orderBy("file", "row").take(3)]
    limit = "" if invalid == rows_in else f", --max-reject-ratio allows {allowed:.2%}"
    return f"{invalid} of {rows_in} rows are rejected{limit}. The first: {'; '.join(first)}"


def save(rows: DataFrame, folder: str) -> None:
    """Write Parquet. Nobody reads the folder yet, so tasks may move their files into it when they end (version 2)."""
    rows.write.option("mapreduce.fileoutputcommitter.algorithm.version", "2").parquet(folder)


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"titanic_etl: {text}", flush=True)


def main(argv: Sequence[str] | None = None, spark: SparkSession | None = None) -> int:
    """Run the job, in `spark` or in a session of its own; returns the exit status."""
    args = parse_args(argv)
    session = spark or SparkSession.builder.appName("titanic_etl").getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    try:
        print(f"RESULT {json.dumps(run(session, args))}", flush=True)
    except JobError as error:
        problem = str(error)
    except (Py4JError, PySparkException) as error:
        problem, known = explained(error, args.output)
        if not known:
            traceback.print_exc()
    else:
        return 0
    finally:
        if spark is None:
            session.stop()
    print(f"JobError: {problem}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
