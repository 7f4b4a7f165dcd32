"""Stream Titanic passengers from a Kafka topic to Parquet, and set aside the records that are none.

    spark-submit titanic_stream.py --bootstrap-servers broker:9092 --topic titanic.passengers \
        --output s3a://curated/titanic_stream/titanic.passengers

Each record ends in one of two datasets, with its topic, partition and offset:

* rows: the columns of titanic_csv.COLUMNS;
* rejects: reason, key, value (as they came).

Delivery contract: exactly once, for every reader. Records are read in batches from the topic's first record on, only
those of committed transactions; batch_log.py says how a batch is delivered and what a killed driver leaves,
checkpoint.py how the next one knows where to go on. Records in = rows + rejects, as counted in the files, or the batch
is not delivered. Records that the topic lost before they were read end the job (failOnDataLoss).

    --mode available-now   reads what is there at the start, then ends
    --mode continuous      a batch every --trigger-seconds; ends with the batch at hand after --run-seconds

The last line is ``RESULT {json}``: batches, rows and rejects of this run, and the offsets where the stream is now; or
``JobError: ...`` with status 1. Credentials come from the environment alone, see kafka_source.py and titanic_etl.py.
The modules that it imports must lie beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

import kafka_source
import titanic_json
from batch_log import Attempt, BatchLog
from checkpoint import Checkpoint
from hadoop import JobError, Store, detail, explained, meaning

MODES = ("available-now", "continuous")


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; exits with status 2 and a usage line when it is wrong."""
    parser = argparse.ArgumentParser(prog="titanic_stream", description="Titanic passengers from Kafka to Parquet.")
    parser.add_argument("--bootstrap-servers", required=True, metavar="HOST:PORT,...")
    parser.add_argument("--topic", required=True, type=_topic)
    parser.add_argument("--output", required=True, metavar="URI", help="where to deliver: s3a://bucket/prefix")
    parser.add_argument("--mode", choices=MODES, default=MODES[0])
    parser.add_argument("--run-seconds", type=_count, default=300, metavar="N", help="with --mode continuous")
    parser.add_argument("--trigger-seconds", type=_count, default=10, metavar="N", help="with --mode continuous")
    parser.add_argument("--max-offsets-per-trigger", type=_count, default=100_000, metavar="N")
    parser.add_argument("--run", default="run", metavar="TEXT", help="goes into the log's entries, such as a run id")
    parser.add_argument("--security-protocol", choices=kafka_source.PROTOCOLS, default="PLAINTEXT")
    parser.add_argument("--sasl-mechanism", choices=sorted(kafka_source.LOGINS), default="SCRAM-SHA-512")
    parser.add_argument("--sasl-username", default="", metavar="NAME")
    return parser.parse_args(argv)


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def _topic(text: str) -> str:
    if re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", text) and text.strip("."):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no name of a topic")


class Writer:
    """Delivers each batch once; Spark calls it with a batch and its number."""

    def __init__(self, log: BatchLog, checkpoint: Checkpoint, topic: str, run: str) -> None:
        self._log, self._checkpoint, self._topic, self._run = log, checkpoint, topic, run
        self._at_work, self._is_closed = threading.Lock(), False
        self.counts = {"batches": 0, "rows": 0, "rejects": 0}
        #: batches that Spark is through with
        self.calls = 0
        #: whether one came after the end of the run
        self.has_refused = False
        #: why the last batch failed, where it can be told in a line; Spark's own exception wraps it in pages
        self.problem: JobError | None = None

    def __call__(self, batch: DataFrame, number: int) -> None:
        """Deliver a batch, unless it is delivered already.

        :raises JobError: the checkpoint and the log do not go together, or counts differ.
        """
        with self._at_work:
            try:
                if self._is_closed:
                    self.has_refused = True
                    raise RuntimeError("the run is over")
                self._deliver(batch, number)
            except JobError as error:
                self.problem = error
                raise
            finally:
                self.calls += 1

    def close(self) -> None:
        """Take no further batch; returns when the one at hand is delivered."""
        with self._at_work:
            self._is_closed = True

    def _deliver(self, batch: DataFrame, number: int) -> None:
        end, log = self._checkpoint.end(number), self._log
        if number <= log.last:
            self._check(number, end, log.entry(number)["to"])
            say(f"batch {number} was delivered by an earlier driver")
            return
        begin = self._checkpoint.end(number - 1)
        if number != log.last + 1:
            raise JobError(f"{self._checkpoint.uri}: is at batch {number}, but delivered are those up to {log.last}")
        if log.last >= 0:
            self._check(number - 1, begin, log.end)
        attempt = log.attempt(number)
        try:
            facts = {"run": self._run, "topic": self._topic, "from": begin, "to": end, **write(batch, attempt)}
            attempt.deliver(facts)
        except BaseException:
            tolerated(attempt.discard, self._checkpoint.uri, "could not remove what this batch wrote")
            raise
        log.delivered(number, end)
        self.counts["batches"] += 1
        for name in ("rows", "rejects"):
            self.counts[name] += facts[name]
        say(f"batch {number}: {facts['rows']} rows, {facts['rejects']} rejects, up to {json.dumps(end)}")

    def _check(self, number: int, planned: dict[str, int], delivered: dict[str, int]) -> None:
        if planned != delivered:
            raise JobError(
                f"{self._checkpoint.uri}: batch {number} ends at {json.dumps(planned)} there, but was delivered up to "
                f"{json.dumps(delivered)}: it is another stream's, or a lost one's; start with another output"
            )


def write(batch: DataFrame, attempt: Attempt) -> dict[str, Any]:
    """Write both datasets of a batch; returns their counts and files.

    A batch without rejects is read once. Only if there are some, a second pass finds them again.

    :raises JobError: records read are not records written.
    """
    seen = Observation()
    found = titanic_json.parsed(batch).observe(seen, F.count("*").alias("records"), F.count_if("valid").alias("valid"))
    save(titanic_json.rows(found), attempt.folder("rows"))
    records, rejected = seen.get["records"], seen.get["records"] - seen.get["valid"]
    if rejected:
        save(titanic_json.rejects(titanic_json.parsed(batch)), attempt.folder("rejects"))
    counts, files = {"rows": 0, "rejects": 0}, {}
    for name, schema in (("rows", titanic_json.ROWS), ("rejects", titanic_json.REJECTS)):
        if name == "rows" or rejected:
            counts[name] = batch.sparkSession.read.schema(schema).parquet(attempt.folder(name)).count()
            files[f"{name}_files"] = attempt.files(name)
    if records != sum(counts.values()):
        raise JobError(f"{attempt.folder('')}: {records} records read, but {counts} written: run again")
    return counts | {"rows_files": [], "rejects_files": []} | files


def save(rows: DataFrame, folder: str) -> None:
    """Write Parquet. Nobody reads the folder yet, so tasks may move their files into it when they end (version 2)."""
    rows.write.option("mapreduce.fileoutputcommitter.algorithm.version", "2").parquet(folder)


def run(spark: SparkSession, args: argparse.Namespace) -> dict[str, Any]:
    """Do the whole job; returns what was delivered.

    :raises JobError: the stream cannot go on.
    """
    output = args.output.rstrip("/")
    store = Store(spark, output)
    log = BatchLog(store, output)
    tolerated(log.prune, output, "could not remove what killed drivers left")
    say(f"{args.topic} to {output}, {args.mode}; delivered up to batch {log.last}, {json.dumps(log.end)}")
    writer = Writer(log, Checkpoint(store, f"{output}/checkpoint", args.topic), args.topic, args.run)
    options = kafka_source.source_options(args.bootstrap_servers, args.topic, args.max_offsets_per_trigger)
    options |= kafka_source.security_options(
        args.security_protocol, args.sasl_mechanism, args.sasl_username, os.environ
    )
    records = spark.readStream.format("kafka").options(**options).load()
    stream = records.writeStream.foreachBatch(writer).option("checkpointLocation", f"{output}/checkpoint")
    try:
        if args.mode == "continuous":
            stop_after(
                stream.trigger(processingTime=f"{args.trigger_seconds} seconds").start(), writer, args.run_seconds
            )
        else:
            stream.trigger(availableNow=True).start().awaitTermination()
    except PySparkException:
        if writer.problem:
            raise writer.problem from None
        raise
    return {**writer.counts, "last_batch": log.last, "offsets": log.end}


def stop_after(query: StreamingQuery, writer: Writer, seconds: int) -> None:
    """Let a query run so long, then have it finish the batch at hand, be it only planned yet."""
    if query.awaitTermination(seconds):
        return
    before = writer.calls
    while query.status["isTriggerActive"] and writer.calls == before and query.isActive:
        time.sleep(0.1)
    writer.close()  # from now on a batch that Spark begins is left to the next run
    query.stop()
    failure = query.exception()
    if failure and not writer.has_refused:
        raise failure


def tolerated(clean_up: Callable[[], Any], uri: str, problem: str) -> None:
    """Clean up; its failure is no reason to change the outcome, as a later run does it again."""
    try:
        clean_up()
    except Exception as error:
        say(f"{problem}: {explained(error, uri)[0]}")


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"titanic_stream: {text}", flush=True)


def main(argv: Sequence[str] | None = None, spark: SparkSession | None = None) -> int:
    """Run the job, in `spark` or in a session of its own; returns the exit status."""
    args = parse_args(argv)
    session = spark or SparkSession.builder.appName("titanic_stream").getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    try:
        print(f"RESULT {json.dumps(run(session, args))}", flush=True)
    except JobError as error:
        problem = str(error)
    except (Py4JError, PySparkException) as error:
        problem, known = explained(error, args.output)
        if meant := meaning(str(error), kafka_source.MEANINGS):
            problem = f"topic {args.topic} at {args.bootstrap_servers}: {meant} ({detail(error)})"
        elif not known:
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
