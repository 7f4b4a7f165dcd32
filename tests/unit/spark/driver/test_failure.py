"""The reason of a failure, out of what real drivers print."""

from __future__ import annotations

import pytest

from bigdata.spark.driver.failure import explain

NOISE = [
    "WARNING: Using incubator modules: jdk.incubator.vector",
    "26/11/21 07:41:44 INFO SparkContext: Running Spark version 4.2.0",
]
END = ["26/11/21 07:41:57 INFO ShutdownHookManager: Shutdown hook called"]

DRIVER_PYTHON = """\
Traceback (most recent call last):
  File "/jobs/etl.py", line 12, in <module>
    main()
  File "/jobs/etl.py", line 8, in main
    raise ValueError("no such column: Agee")
ValueError: no such column: Agee"""

CHAINED = f"""\
{DRIVER_PYTHON}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/jobs/etl.py", line 14, in <module>
    fail()
RuntimeError: gave up"""

ON_AN_EXECUTOR = """\
26/11/21 08:00:00 ERROR Executor: Exception in task 0.0 in stage 0.0 (TID 0)
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/spark/worker.py", line 1247, in main
    process()
ZeroDivisionError: division by zero

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:561)
Traceback (most recent call last):
  File "/jobs/etl.py", line 5, in <module>
    rdd.map(f).collect()
py4j.protocol.Py4JJavaError: An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 1 times, \
most recent failure: Lost task 0.0 in stage 0.0 (TID 0) (localhost executor driver): \
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/spark/worker.py", line 1247, in main
    process()
  File "/jobs/etl.py", line 3, in f
    return 1 / 0
ZeroDivisionError: division by zero

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:561)
\tat java.base/java.lang.Thread.run(Thread.java:840)"""

IN_THE_JVM = """\
Traceback (most recent call last):
  File "/jobs/etl.py", line 5, in <module>
    spark.read.parquet("s3a://nope/x")
py4j.protocol.Py4JJavaError: An error occurred while calling o45.parquet.
: java.nio.file.AccessDeniedException: s3a://nope/x: getFileStatus on s3a://nope/x
\tat org.apache.hadoop.fs.s3a.S3AUtils.translateException(S3AUtils.java:273)
Caused by: software.amazon.awssdk.services.s3.model.S3Exception: Forbidden (Status Code: 403)
\tat software.amazon.awssdk.core.Sdk.run(Sdk.java:1)
\t... 20 more"""

ANALYSIS = """\
Traceback (most recent call last):
  File "/jobs/etl.py", line 5, in <module>
    spark.table("nope")
pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `nope` is not there.
Verify the spelling and correctness of the schema and catalog.;
'UnresolvedRelation [nope], [], false"""

SCALA = """\
Exception in thread "main" java.lang.IllegalStateException: no input
\tat Main$.main(Main.scala:3)
Caused by: java.io.FileNotFoundException: /data/in
\tat Main$.main(Main.scala:2)"""

SUBMIT = "26/11/21 08:00:00 ERROR SparkSubmit: Failed to load class Nope."
SYNTAX = """\
  File "/jobs/etl.py", line 3
    def
       ^
SyntaxError: invalid syntax"""
HEAP = """\
Error: Could not create the Java Virtual Machine.
Invalid maximum heap size: -Xmx9x"""


@pytest.mark.parametrize(
    ("output", "reason", "shown"),
    [
        (DRIVER_PYTHON, "ValueError: no such column: Agee", '    raise ValueError("no such column: Agee")'),
        (CHAINED, "RuntimeError: gave up", "    fail()"),
        (ON_AN_EXECUTOR, "ZeroDivisionError: division by zero", "    return 1 / 0"),
        (
            IN_THE_JVM,
            "software.amazon.awssdk.services.s3.model.S3Exception: Forbidden (Status Code: 403)",
            ": java.nio.file.AccessDeniedException: s3a://nope/x: getFileStatus on s3a://nope/x",
        ),
        (
            ANALYSIS,
            "pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `nope` "
            "is not there.",
            '    spark.table("nope")',
        ),
        (
            SCALA,
            "java.io.FileNotFoundException: /data/in",
            'Exception in thread "main" java.lang.IllegalStateException: no input',
        ),
        (SUBMIT, "Failed to load class Nope.", SUBMIT),
        (SYNTAX, "SyntaxError: invalid syntax", "    def"),
        (HEAP, "Invalid maximum heap size: -Xmx9x", "Invalid maximum heap size: -Xmx9x"),
    ],
)
def test_the_exception_a_person_looks_for(output: str, reason: str, shown: str) -> None:
    found = explain([*NOISE, *output.splitlines(), *END], 1)
    assert found.reason == reason
    assert shown in found.lines
    assert len(found.lines) <= 15
    assert not any(line.startswith("\tat") or "INFO" in line for line in found.lines)


def test_without_an_exception_the_exit_code_is_the_reason() -> None:
    found = explain([*NOISE, "input is empty", *END], 3)
    assert found.reason == "the driver ended with exit code 3"
    assert found.lines == ("input is empty",)


def test_a_signal_is_named() -> None:
    assert explain([], 137).reason == "the driver was ended by SIGKILL, mostly a sign of too little memory"
    assert explain(DRIVER_PYTHON.splitlines(), 137).reason.startswith("the driver was ended by SIGKILL")
    assert explain([], 200).reason == "the driver ended with exit code 200"
    assert explain([], None).reason == "ended without an exit code"


def test_endless_lines_are_cut() -> None:
    found = explain(["Traceback (most recent call last):", f"ValueError: {'x' * 10_000}"], 1)
    assert max(map(len, (found.reason, *found.lines))) <= 500


def test_a_jobs_own_one_line_error_is_the_reason() -> None:
    log = [
        "26/11/21 08:00:00 WARN Utils: x",
        "reading 1 file",
        "JobError: a.csv: is empty: it must start with a header",
    ]
    found = explain(log, 1)
    assert found.reason == log[-1]
    assert found.lines == (log[-1],)
