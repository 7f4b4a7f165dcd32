"""A warm ``make run`` beside the sum of its raw parts, in turns, as whole processes; prints the ratio.

The raw parts: the same spark-submit, typed by hand, and ``airflow dags test`` of a DAG with as many empty tasks.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bigdata.local.jars import spark_jars
from bigdata.local.stack import Stack
from bigdata.settings import from_environment
from bigdata.storage.objects import ObjectStore

ROOT = Path(__file__).parents[1]
TASKS = 7
EMPTY_DAG = f"""
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, chain

with DAG("empty_tasks", schedule=None):
    chain(*[EmptyOperator(task_id=f"task_{{number}}") for number in range({TASKS})])
"""


def seconds(command: list[str], env: dict[str, str]) -> float:
    """Run a command; returns wall seconds."""
    start = time.perf_counter()
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return time.perf_counter() - start


def raw_spark(store: ObjectStore, jars: list[Path]) -> Callable[[], float]:
    """spark-submit as a person types it."""
    conf = {
        "spark.hadoop.fs.s3a.endpoint": store.endpoint_url,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.driver.extraClassPath": ":".join(map(str, jars)),
    }
    command = ["spark-submit", "--master", "local[1]", "--driver-memory", "1g"]
    command += [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    command += [str(ROOT / "spark_jobs" / "titanic_etl.py"), "--input=s3a://titanic-raw/titanic/titanic.csv"]
    command += ["--output=s3a://titanic-curated/bench"]
    keys = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
    return lambda: seconds(command, os.environ | keys)


def raw_airflow(folder: Path) -> Callable[[], float]:
    """``airflow dags test`` of empty tasks."""
    (folder / "empty_tasks.py").write_text(EMPTY_DAG)
    env = os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(folder)}
    return lambda: seconds(["airflow", "dags", "test", "empty_tasks"], env)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    settings = from_environment(ROOT)
    stack = Stack(settings)
    stack.up()
    aws = json.loads((settings.state_dir / "connections.json").read_text())["aws_default"]
    store = ObjectStore(stack.require("s3").url, access_key=aws["login"], secret_key=aws["password"])
    with tempfile.TemporaryDirectory() as folder:
        parts = {
            "make run": lambda: seconds(["make", "run"], dict(os.environ)),
            "spark-submit": raw_spark(store, spark_jars(settings, lambda line: print(line, file=sys.stderr))),
            f"airflow, {TASKS} empty tasks": raw_airflow(Path(folder)),
        }
        parts["make run"]()
        times = {name: [] for name in parts}
        for _ in range(rounds):
            for name, run in parts.items():
                times[name].append(run())
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, found in times.items():
        print(f"{name:<24} {medians[name]:>7.1f} s  ({', '.join(f'{item:.1f}' for item in found)})")
    whole, *rest = medians.values()
    print(f"ratio                    {whole / sum(rest):>7.2f}")


if __name__ == "__main__":
    main()
