"""A Spark job that does what its first argument says; the tests mount it from a config map."""

import os
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession


def show(spark):
    """Show what driver and executors find around them."""
    names = ("PLAIN", "BOTH", "FROM_SECRET", "POD")
    print("driver:", {name: os.environ.get(name) for name in names})
    print("executor:", spark.sparkContext.parallelize([1], 1).map(lambda _: os.environ.get("FROM_SECRET")).first())
    print("mounted:", sorted(path.name for path in Path("/mnt/job").glob("*.py")), os.getuid())


def fail(spark):
    raise ValueError("the passengers are missing")


def lose(spark):
    """End an executor from within."""

    def end(_):
        pid = os.getpid()
        while Path(f"/proc/{pid}/comm").read_text().strip() != "java":
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(pid, 9)
        time.sleep(60)

    spark.sparkContext.parallelize([1], 1).foreach(end)


def slow(spark):
    """Long enough for something to happen meanwhile."""
    for _ in range(15):
        spark.sparkContext.parallelize([1], 1).count()
        time.sleep(1)
    print("done")


def wait(spark):
    spark.range(1).count()
    print("waiting")
    time.sleep(600)


if __name__ == "__main__":
    session = SparkSession.builder.getOrCreate()
    globals()[sys.argv[1]](session)
    session.stop()
