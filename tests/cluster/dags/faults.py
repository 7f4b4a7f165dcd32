"""One task each, in the ways that a task can be told to wait; what the job does is a param."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from bigdata.operators.spark_application import SparkApplicationOperator

NAMESPACE = os.environ.get("SPARK_OPERATOR_NAMESPACE", "default")
MANIFEST = """
apiVersion: sparkoperator.k8s.io/v1beta2
kind: SparkApplication
metadata: {name: job}
spec:
  type: Python
  mode: cluster
  sparkVersion: 4.2.0
  image: "{{ params.image }}"
  imagePullPolicy: IfNotPresent
  mainApplicationFile: local:///mnt/job/job.py
  arguments: ["{{ params.what }}"]
  restartPolicy: {type: Never}
  volumes: [{name: job, configMap: {name: job}}]
  driver:
    {cores: 1, coreRequest: 100m, memory: 512m, serviceAccount: "{{ params.account }}",
     volumeMounts: [{name: job, mountPath: /mnt/job}]}
  executor: {instances: 1, cores: 1, coreRequest: 100m, memory: 512m}
"""
PARAMS = {
    "what": "show",
    "image": os.environ.get("BIGDATA_SPARK_IMAGE", "bigdata/spark:4.2.0"),
    "account": "spark",
}
COMMON: dict[str, Any] = {
    "task_id": "job",
    "application_file": MANIFEST,
    "runtime": "kubernetes",
    "namespace": NAMESPACE,
    "do_xcom_push": True,
    "retries": 1,
    "retry_delay": timedelta(seconds=1),
}


class Noted(SparkApplicationOperator):
    """Notes its process and its supervisor's, for a test to kill."""

    def execute(self, context: Any) -> Any:
        Path(os.environ["FAULTS_PIDS"]).write_text(f"{os.getppid()} {os.getpid()}")
        return super().execute(context)


class DiesBeforeDefer(SparkApplicationOperator):
    """Its worker is gone between the create and the deferral, at the first try."""

    def execute(self, context: Any) -> Any:
        self.is_first = context["ti"].try_number == 1
        return super().execute(context)

    def defer(self, **kwargs: Any) -> Any:
        if self.is_first:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        super().defer(**kwargs)


def one(dag_id: str, kind: type[SparkApplicationOperator] = SparkApplicationOperator, **more: Any) -> None:
    with DAG(dag_id, schedule=None, params=PARAMS):
        kind(**(COMMON | more))


one("plain", Noted)
one("deferred", deferrable=True)
one("deferred_once", deferrable=True, retries=0, startup_timeout_seconds=20)
one("dies", DiesBeforeDefer, deferrable=True)
one("late_plain", execution_timeout=timedelta(seconds=25), retries=0)
one("late_deferred", execution_timeout=timedelta(seconds=25), retries=0, deferrable=True)

# 60 characters each, with the suffix that derived names have; two of it at once.
LONG = "x-driver-etl-of-all-passengers-by-class-and-by-port-driver-x"
with DAG(LONG, schedule=None, params=PARAMS):
    more = COMMON | {"task_id": LONG.replace("x-", "y-"), "deferrable": True}
    del more["application_file"]
    SparkApplicationOperator.partial(**more).expand(application_file=[MANIFEST, MANIFEST])
