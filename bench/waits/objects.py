"""What the triggers wait for: nothing, a SparkApplication, a driver pod. A script moves their status, nothing runs."""

from __future__ import annotations

import random
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from waits.cluster import Cluster

MANIFEST = Path(__file__).parents[2] / "spark_jobs" / "spark_pi.yaml"
CONTAINER = "spark-kubernetes-driver"


class Sleepers:
    """Triggers that only sleep; the base of the others.

    :param number: how many.
    :param spread: seconds over which the ends are spread.
    """

    name = "sleepers"
    running = "starting"  # what a trigger's log says once it waits for the end
    succeeded = re.compile('^scheduled .*"slept"')  # how the task goes on

    def __init__(self, cluster: Cluster, number: int, spread: float) -> None:
        self.cluster, self.number, self.spread = cluster, number, spread
        self._ends: dict[int, float] = {}

    def triggers(self, end: float) -> list[Any]:
        """Make what is waited for, and a trigger for each.

        :param end: when a sleeper may end; the others are told.
        """
        from waits.sleeper import Sleeper

        self._ends = {number: end + random.random() * self.spread for number in range(self.number)}
        return [Sleeper(self._ends[number]) for number in range(self.number)]

    def end(self) -> dict[int, float]:
        """End all, in random order; returns when each was."""
        time.sleep(max(0.0, max(self._ends.values(), default=0.0) - time.time()))
        return self._ends


class Objects(Sleepers):
    """Triggers that wait for an object of the cluster each."""

    def triggers(self, end: float) -> list[Any]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self._make, range(self.number)))

    def end(self) -> dict[int, float]:
        start = time.time()
        moments = sorted((start + random.random() * self.spread, number) for number in range(self.number))

        def end_one(moment: float, number: int) -> tuple[int, float]:
            time.sleep(max(0.0, moment - time.time()))
            asked = time.time()
            self._end(number)
            return number, asked

        with ThreadPoolExecutor(8) as pool:
            return dict(pool.map(lambda item: end_one(*item), moments))

    def _make(self, number: int) -> Any:
        """Make an object that says that it runs; returns its trigger."""
        raise NotImplementedError

    def _end(self, number: int) -> None:
        raise NotImplementedError


class Ours(Objects):
    """Waits as SparkApplicationOperator(deferrable=True) makes them, application and trigger."""

    name, running, succeeded = "ours", "(RUNNING)", re.compile('^success|^scheduled .*"terminal"')

    def triggers(self, end: float) -> list[Any]:
        self._check_operator()
        return super().triggers(end)

    def _check_operator(self) -> None:
        """The Spark operator must not watch the namespace: it would submit all applications."""
        from bigdata.spark.manifest.loading import load

        body = load(MANIFEST).with_name("probe").to_dict()
        self.cluster.custom.create_namespaced_custom_object(*self._where, body)
        time.sleep(5)
        found = self.cluster.custom.get_namespaced_custom_object(*self._where, "probe")
        self.cluster.custom.delete_namespaced_custom_object(*self._where, "probe")
        if found.get("status"):
            raise SystemExit("the Spark operator of this cluster watches every namespace: limit spark.jobNamespaces")

    def _make(self, number: int) -> Any:
        from airflow.sdk import DAG
        from airflow.sdk.exceptions import TaskDeferred

        from bigdata.operators.spark_application import SparkApplicationOperator

        operator = SparkApplicationOperator(
            task_id="wait",
            dag=DAG("waiting", schedule=None),
            application_file=str(MANIFEST),
            namespace=self.cluster.name,
            runtime="kubernetes",
            deferrable=True,
        )
        try:
            operator.execute({"ti": self._instance(number)})
        except TaskDeferred as deferred:
            self._move(number, "RUNNING")
            return deferred.trigger
        raise AssertionError("the operator did not defer")

    def _end(self, number: int) -> None:
        self._move(number, "COMPLETED")

    def _instance(self, number: int) -> Any:
        named = {"dag_id": "waiting", "task_id": "wait", "run_id": self.name, "map_index": number, "try_number": 1}
        return SimpleNamespace(**named, xcom_push=lambda **_: None)

    @property
    def _where(self) -> tuple[str, str, str, str]:
        return "sparkoperator.k8s.io", "v1beta2", self.cluster.name, "sparkapplications"

    def _move(self, number: int, state: str) -> None:
        """Write a status as the Spark operator does."""
        from bigdata.spark.naming import TaskTry

        name = TaskTry("waiting", "wait", self.name, number).name
        status = {
            "applicationState": {"state": state},
            "driverInfo": {"podName": f"{name}-driver", "webUIServiceName": f"{name}-ui-svc", "webUIPort": 4040},
            "executionAttempts": 1,
            "executorState": {f"{name}-exec-1": state},
            "lastSubmissionAttemptTime": _now(),
            "sparkApplicationId": f"spark-{uuid.uuid4().hex}",
            "submissionAttempts": 1,
            "submissionID": str(uuid.uuid4()),
            "terminationTime": _now() if state == "COMPLETED" else None,
        }
        self.cluster.custom.patch_namespaced_custom_object_status(
            *self._where, name, {"status": status}, _content_type="application/merge-patch+json"
        )


class Provider(Objects):
    """The trigger that SparkKubernetesOperator(deferrable=True) makes, by the operator's own code."""

    name, running, succeeded = "provider", "Pod has reached Running", re.compile('^scheduled .*"success"')

    def _make(self, number: int) -> Any:
        from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
        from airflow.sdk.exceptions import TaskDeferred

        container = {"name": CONTAINER, "image": "none", "args": ["driver"], "ports": [{"containerPort": 4040}]}
        # Gated: no scheduler and no node looks at it.
        spec = {"schedulingGates": [{"name": "bench/none"}], "restartPolicy": "Never", "containers": [container]}
        labels = {"spark-role": "driver", "map_index": str(number)}
        body = {"metadata": {"name": self._pod(number), "labels": labels}, "spec": spec}
        self.cluster.core.create_namespaced_pod(self.cluster.name, body)
        self._move(number, "Running", {"running": {"startedAt": _now()}})
        operator = SparkKubernetesOperator(
            task_id="wait", namespace=self.cluster.name, application_file="none.yaml", deferrable=True
        )
        operator.pod = self.cluster.core.read_namespaced_pod(self._pod(number), self.cluster.name)
        try:
            operator.invoke_defer_method()
        except TaskDeferred as deferred:
            return deferred.trigger
        raise AssertionError("the provider's operator did not defer")

    def _end(self, number: int) -> None:
        self._move(number, "Succeeded", {"terminated": {"exitCode": 0, "finishedAt": _now()}})

    @staticmethod
    def _pod(number: int) -> str:
        return f"waiting-{number}-driver"

    def _move(self, number: int, phase: str, state: dict[str, Any]) -> None:
        container = {"name": CONTAINER, "image": "none", "imageID": "", "ready": phase == "Running", "restartCount": 0}
        status = {"phase": phase, "containerStatuses": [container | {"state": state}]}
        self.cluster.core.patch_namespaced_pod_status(self._pod(number), self.cluster.name, {"status": status})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
