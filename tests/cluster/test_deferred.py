"""The operator's deferred wait, through Airflow: submit, defer, fire, resume; after each, nothing is left."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bigdata.kubernetes.resources import Resources
from bigdata.spark.operated import SPARK_APPLICATION
from bigdata.spark.states import raw_state
from bigdata.triggers.clusters import Cluster
from bigdata.triggers.spark_application import SparkApplicationTrigger

from .conftest import job, left, soon
from .operated import IMAGE, NAMESPACE, Bench, application

pytestmark = pytest.mark.cluster

DAG = """
from datetime import timedelta
from airflow.sdk import DAG
from bigdata.operators.spark_application import SparkApplicationOperator

MANIFEST = '''
apiVersion: sparkoperator.k8s.io/v1beta2
kind: SparkApplication
metadata: {{name: job}}
spec:
  type: Python
  mode: cluster
  sparkVersion: 4.2.0
  image: {image}
  imagePullPolicy: IfNotPresent
  mainApplicationFile: local:///mnt/job/job.py
  arguments: [{what}]
  restartPolicy: {{type: Never}}
  volumes: [{{name: job, configMap: {{name: job}}}}]
  driver: {{cores: 1, coreRequest: 100m, memory: 512m, serviceAccount: spark-operator-spark,
            volumeMounts: [{{name: job, mountPath: /mnt/job}}]}}
  executor: {{instances: 1, cores: 1, coreRequest: 100m, memory: 512m}}
'''

with DAG("deferred", schedule=None):
    SparkApplicationOperator(
        task_id="job", application_file=MANIFEST, runtime="kubernetes", deferrable=True, do_xcom_push=True,
        namespace="{namespace}", {more}
    )
"""


@dataclass
class Result:
    """What a run of the DAG left."""

    state: str
    log: str
    xcom: Any


@pytest.fixture
def resources(api_client: Any, core: Any) -> Iterator[Resources]:
    if "SPARK_OPERATOR" not in os.environ:
        pytest.skip("SPARK_OPERATOR is not set: say there that the cluster has the Spark operator")
    job(core)
    found = Resources(api_client, SPARK_APPLICATION, NAMESPACE)
    yield found
    remaining = lambda: [*left(api_client, NAMESPACE), *found.select("")]  # noqa: E731
    assert soon(lambda: not remaining(), 60), remaining()


@pytest.fixture
def run(
    airflow_db: None,
    resources: Resources,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Result]:
    """Run the DAG with one task, as ``airflow dags test`` does."""
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": os.environ["KUBECONFIG"]}}
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))

    def run(what: str, more: str = "") -> Result:
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        (tmp_path / "deferred.py").write_text(DAG.format(image=IMAGE, what=what, namespace=NAMESPACE, more=more))
        env = os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path)}
        command = ["airflow", "dags", "test", "deferred"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=400, check=False)
        log = done.stdout + done.stderr
        run_id = re.search(r"run_id[=:] ?'?(manual__[^\s',]+)", log)
        assert run_id, log[-3000:]
        with create_session() as session:
            rows = session.scalars(XComModel.get_many(run_id=run_id[1], key="return_value", dag_ids="deferred"))
            xcom = next((XComModel.deserialize_value(row) for row in rows), None)
        return Result("failed" if done.returncode else "success", log, xcom)

    return run


def test_a_run_defers_at_once_and_resumes_with_the_log(run: Callable[..., Result]) -> None:
    result = run("show")
    assert result.state == "success", result.log[-3000:]
    created = result.log.index("Created SparkApplication")
    deferred = result.log.index("deferred", created)
    assert "RUNNING" not in result.log[created:deferred]
    assert result.log.index("(COMPLETED)") < result.log.index("mounted: ['job.py']")
    assert result.xcom["state"] == "SUCCEEDED"
    assert result.xcom["driver_pod"].endswith("-driver")
    assert result.xcom["seconds"]["RUNNING"] > 1
    assert result.log.count("Created SparkApplication") >= 1
    assert "Found SparkApplication" not in result.log


def test_a_failure_shows_the_jobs_exception(run: Callable[..., Result]) -> None:
    result = run("fail")
    assert result.state == "failed"
    assert "ended as FAILED: ValueError: the passengers are missing" in result.log, result.log[-6000:]


def test_a_driver_that_does_not_start_in_time_is_told_why(run: Callable[..., Result]) -> None:
    result = run("show", 'image="nowhere.invalid/none:1", startup_timeout_seconds=15')
    assert result.state == "failed"
    assert "did not start within 15 s: the image nowhere.invalid/none:1 cannot be pulled" in result.log


def test_an_application_that_somebody_deletes_is_told(run: Callable[..., Result], resources: Resources) -> None:
    def delete() -> None:
        assert soon(lambda: any(raw_state(item) == "RUNNING" for item in resources.select("")))
        (found,) = resources.select("")
        resources.delete(found["metadata"]["name"])

    thread = threading.Thread(target=delete)
    thread.start()
    result = run("wait")
    thread.join()
    assert result.state == "failed"
    assert "somebody deleted the SparkApplication" in result.log
    assert resources.select("") == []


def test_a_kill_while_deferred_deletes_the_application(bench: Bench, resources: Resources) -> None:
    trigger = SparkApplicationTrigger(
        {"config_file": os.environ["KUBECONFIG"]}, bench.runtime.submit(application("wait")).identity, 600
    )
    path, arguments = trigger.serialize()
    assert path == "bigdata.triggers.spark_application.SparkApplicationTrigger"
    assert Cluster(**arguments["cluster"]).config_file == os.environ["KUBECONFIG"]

    async def scenario() -> None:
        task = asyncio.create_task(anext(aiter(trigger.run())))
        await asyncio.sleep(2)
        assert not task.done()
        task.cancel()
        await trigger.on_kill()
        await trigger.on_kill()

    asyncio.run(scenario())
    assert soon(lambda: not resources.select(""), 10)
