"""A Spark job that does what its first argument says."""

import os
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession


def hello(spark, *_):
    print("rows:", spark.range(100).count())


def talk(spark, folder):
    """Print in turns to both streams, the secret too, and wait until told to end."""
    for index in range(5):
        print(f"out {index}")
        print(f"err {index}", file=sys.stderr)
    print("the key is", os.environ["SECRET_KEY"])
    print("variables", sorted(key for key in os.environ if key.startswith(("AIRFLOW", "AWS", "SPARK_HOME", "MODE"))))
    wait_for(Path(folder, "go"))
    print("told to end")


def fail(spark, *_):
    raise ValueError("the passengers are missing")


def fail_in_worker(spark, *_):
    print(spark.sparkContext.parallelize([1, 0], 2).map(lambda x: 1 // x).collect())


def fail_in_jvm(spark, *_):
    spark.read.parquet("file:///no/such/folder").show()


def leave(spark, *_):
    print("input is empty")
    sys.exit(3)


def work(spark, folder):
    """Keep the JVM and two Python workers busy until killed."""

    def busy(index):
        Path(folder, f"working-{index}").touch()
        time.sleep(600)
        return index

    spark.sparkContext.parallelize(range(2), 2).map(busy).collect()


def chatter(spark, folder):
    """Print without end, faster than anybody reads."""
    Path(folder, "talking").touch()
    while True:
        print("x" * 200)


def files(spark, *_):
    """Show what the driver finds around it."""
    import helpers

    loader = spark.sparkContext._jvm.Thread.currentThread().getContextClassLoader()
    print("module:", helpers.NAME)
    print("worker:", spark.sparkContext.parallelize([1], 1).map(lambda _: __import__("helpers").NAME).first())
    print("resources:", [name for name in ("one.txt", "two.txt") if loader.getResource(name)])


def untidy(spark, *_):
    """Write wherever Spark writes by itself: work folder, warehouse, metastore."""
    print("found:", os.listdir("."))
    Path("left-behind.txt").touch()
    spark.sql("create table passengers (name string) using parquet")
    spark.sql("insert into passengers values ('Rose')")
    print("table:", spark.table("passengers").count(), sorted(os.listdir(".")))


def wait_for(path):
    deadline = time.monotonic() + 240
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    builder = SparkSession.builder
    if what == "untidy":
        builder = builder.enableHiveSupport()
    session = builder.getOrCreate()
    globals()[what](session, *arguments)
    session.stop()
