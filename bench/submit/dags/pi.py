"""The same manifest by both operators, deferrable and not."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
from airflow.sdk import DAG

from bigdata.operators.spark_application import SparkApplicationOperator

MANIFEST = (Path(os.environ["AIRFLOW__BIGDATA__PROJECT_DIR"]) / "spark_jobs" / "spark_pi.yaml").read_text()

for name, kind, more in (
    ("provider", SparkKubernetesOperator, {}),
    ("ours", SparkApplicationOperator, {"runtime": "kubernetes"}),
):
    for deferrable in (False, True):
        with DAG(f"{name}_deferrable" if deferrable else name, schedule=None):
            kind(task_id="pi", application_file=MANIFEST, deferrable=deferrable, namespace="default", **more)
