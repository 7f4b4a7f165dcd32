"""OpenLineage: the application is told which task's run has started it, as the provider itself reports that run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

JOB = """
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
for key, value in spark.sparkContext.getConf().getAll():
    if key.startswith("spark.openlineage."):
        print("FACT", key, value)
spark.stop()
"""
DAG = """
from airflow.sdk import DAG
from bigdata.operators.spark_application import SparkApplicationOperator

MANIFEST = {{
    "apiVersion": "sparkoperator.k8s.io/v1beta2",
    "kind": "SparkApplication",
    "metadata": {{"name": "facts"}},
    "spec": {{
        "type": "Python", "mode": "cluster", "sparkVersion": "4.2.0", "mainApplicationFile": "file://{job}",
        "driver": {{"memory": "512m"}}, "executor": {{"instances": 1}},
    }},
}}
with DAG("lineage", schedule=None):
    SparkApplicationOperator(task_id="job", template_spec=MANIFEST, runtime="local")
"""


class Result:
    """What the job saw, and what the provider reported."""

    def __init__(self, output: str, events: Path) -> None:
        lines = [line.split("FACT ", 1)[1].split() for line in output.splitlines() if "FACT " in line]
        self.facts: dict[str, str] = {line[0]: line[1] for line in lines}
        self.output = output
        reported = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
        self.started: list[Any] = [
            event for event in reported if event["eventType"] == "START" and event["job"]["name"] == "lineage.job"
        ]


def run(folder: Path) -> Result:
    (folder / "job.py").write_text(JOB)
    (folder / "dag.py").write_text(DAG.format(job=folder / "job.py"))
    events = folder / "events.json"
    transport = {"type": "file", "log_file_path": str(events), "append": True}
    env = os.environ | {
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
    }
    command = ["airflow", "dags", "test", "lineage"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-4000:]
    return Result(output, events)


def test_the_application_knows_its_parent_run(airflow_db: None, tmp_path: Path) -> None:
    result = run(tmp_path)
    (started,) = result.started
    assert result.facts["spark.openlineage.parentRunId"] == started["run"]["runId"]
    assert result.facts["spark.openlineage.parentJobName"] == "lineage.job"
    assert result.facts["spark.openlineage.rootParentJobName"] == "lineage"
    assert not [key for key in result.facts if "transport" in key]
