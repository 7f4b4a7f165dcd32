"""The operator's deferred wait by ``airflow dags test``, and where what is killed is to be kept; after each, nothing is
left. What can go wrong is provoked in a whole Airflow, see ``test_faults.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bigdata.kubernetes.resources import Resources
from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION
from bigdata.spark.kubernetes.states import raw_state
from bigdata.spark.naming import PREFIX
from bigdata.triggers.clusters import Cluster
from bigdata.triggers.spark_application import SparkApplicationTrigger

from ..waiting import soon
from .conftest import job, left
from .operated import IMAGE, NAMESPACE, Bench, application

pytestmark = pytest.mark.cluster

DAG = """
import yaml
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
  driver: {{cores: 1, coreRequest: 100m, memory: 512m, serviceAccount: spark,
            volumeMounts: [{{name: job, mountPath: /mnt/job}}]}}
  executor: {{instances: 1, cores: 1, coreRequest: 100m, memory: 512m}}
'''

with DAG("deferred", schedule=None):
    SparkApplicationOperator(
        task_id="job", {source}, runtime="kubernetes", deferrable=True, do_xcom_push=True,
        namespace="{namespace}", {more}
    )
"""


@dataclass
class Result:
    """What a run of the DAG left."""

    state: str
    log: str
    xcom: Any
    xcoms: dict[str, Any]
    task_state: str


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

    def run(what: str, more: str = "", source: str = "application_file=MANIFEST", **environ: str) -> Result:
        text = DAG.format(image=IMAGE, what=what, namespace=NAMESPACE, more=more, source=source)
        (tmp_path / "deferred.py").write_text(text)
        env = os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path)} | environ
        command = ["airflow", "dags", "test", "deferred"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=400, check=False)
        log = done.stdout + done.stderr
        run_id = re.search(r"run_id[=:] ?'?(manual__[^\s',]+)", log)
        assert run_id, log[-3000:]
        found = xcoms(run_id[1])
        state = "failed" if done.returncode else "success"
        return Result(state, log, found.get("return_value"), found, task_state(run_id[1]))

    return run


def xcoms(run_id: str) -> dict[str, Any]:
    """What the task has pushed so far."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.scalars(select(XComModel).where(XComModel.dag_id == "deferred", XComModel.run_id == run_id))
        return {row.key: XComModel.deserialize_value(row) for row in rows}


def task_state(run_id: str) -> str:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        chosen = (TaskInstance.dag_id == "deferred", TaskInstance.run_id == run_id)
        return str(session.scalar(select(TaskInstance.state).where(*chosen)))


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


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kubeconfig of the cluster, to which neither the default connection nor ``KUBECONFIG`` leads any more."""
    config = os.environ["KUBECONFIG"]
    nowhere = tmp_path / "nowhere"
    nowhere.write_text(re.sub(r"server: .*", "server: https://127.0.0.1:1", Path(config).read_text()))
    monkeypatch.setenv("KUBECONFIG", str(nowhere))
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(nowhere)}}
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
    return config


def test_the_providers_template_goes_to_the_connection_it_names(run: Callable[..., Result], elsewhere: str) -> None:
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": elsewhere}}
    template = """template_spec={
        "spark": {**(job := yaml.safe_load(MANIFEST)), "version": "v1beta2", "spec": {
            **job["spec"], "labels": {"team": "a"}, "successfulRunHistoryLimit": 1,
            "executor": {**job["spec"]["executor"], "container_resources": {"memory": {"limit": "1Gi"}}},
        }},
        "kubernetes": {
            "conn_id": "elsewhere", "in_cluster": None, "env_vars": {"PLAIN": "$(SPARK_APPLICATION_NAME)"},
            "env_from": [{"name": "FROM_SECRET", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}}],
        },
    }"""
    given = 'name="Drop_In", random_name_suffix=False'
    result = run("show", given, template, AIRFLOW_CONN_ELSEWHERE=json.dumps(connection))
    assert result.state == "success", result.log[-5000:]
    assert "Without effect in <inline>: version, spec.successfulRunHistoryLimit" in result.log
    created = result.log.index(f"Created SparkApplication {NAMESPACE}/drop-in")
    deferred = result.log.index("deferred", created)
    assert "RUNNING" not in result.log[created:deferred]
    assert result.log.index("(COMPLETED)") < result.log.index("mounted: ['job.py']")
    # The variable with the name is there, in time for another one to refer to it.
    assert "driver: {'PLAIN': 'drop-in', 'BOTH': None, 'FROM_SECRET': 'a', 'POD': None}" in result.log
    assert "executor: a" in result.log
    assert result.xcom["state"] == "SUCCEEDED"
    assert result.xcom["seconds"]["RUNNING"] > 1
    assert (result.xcoms["pod_name"], result.xcoms["pod_namespace"]) == ("drop-in-driver", NAMESPACE)


def test_a_failure_may_skip_the_task_on_the_cluster_of_a_kubeconfig(run: Callable[..., Result], elsewhere: str) -> None:
    cluster = {"kube_config_file": elsewhere}
    template = f'template_spec={{"spark": yaml.safe_load(MANIFEST), "kubernetes": {cluster}}}'
    result = run("fail", "skip_on_exit_code=[1]", template)
    assert "ended with exit code 1: skipped by skip_on_exit_code" in result.log, result.log[-5000:]
    assert result.task_state == "skipped"
    assert result.log.index("(FAILED)") < result.log.index("ValueError: the passengers are missing")


def of_run(resources: Resources, run_id: str) -> list[Any]:
    """The run's own applications, whatever else is in the namespace."""
    return resources.select(f"{PREFIX}run-id={run_id}")


def test_a_kill_while_deferred_leaves_what_is_to_be_kept(bench: Bench, resources: Resources) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    from bigdata.operators.spark_application import SparkApplicationOperator

    manifest = {"spark": application("wait").to_dict(), "kubernetes": {"kube_config_file": os.environ["KUBECONFIG"]}}
    common = {"task_id": "t", "template_spec": manifest, "runtime": "kubernetes", "deferrable": True}
    run_id = uuid.uuid4().hex
    context = {"ti": SimpleNamespace(dag_id="d", task_id="t", run_id=run_id, map_index=-1, try_number=1)}

    def deferred(**given: Any) -> SparkApplicationTrigger:
        task = SparkApplicationOperator(**common, **given)
        with pytest.raises(TaskDeferred) as caught:
            SparkApplicationOperator.execute.__wrapped__(task, context)  # type: ignore[attr-defined]
        _, arguments = caught.value.trigger.serialize()
        return SparkApplicationTrigger(**arguments)

    asyncio.run(deferred(on_kill_action="keep_pod").on_kill())
    (found,) = of_run(resources, run_id)
    assert "deletionTimestamp" not in found["metadata"]
    asyncio.run(deferred().on_kill())  # of the same try, so that it is the same application
    assert soon(lambda: not of_run(resources, run_id), 30)


def test_a_kill_of_the_worker_leaves_what_is_to_be_kept_and_the_next_try_goes_on_with_it(
    bench: Bench, resources: Resources
) -> None:
    from bigdata.errors import ApplicationGone
    from bigdata.operators.spark_application import SparkApplicationOperator

    run_id, pushed = uuid.uuid4().hex, {}
    manifest = application("wait").to_dict()

    def killed(try_number: int, **given: Any) -> BaseException:
        ti = SimpleNamespace(dag_id="d", task_id="t", run_id=run_id, map_index=-1, try_number=try_number)
        ti.xcom_push = lambda key, value: pushed.update({key: value})
        config = os.environ["KUBECONFIG"]
        task = SparkApplicationOperator(
            task_id="t", template_spec=manifest, runtime="kubernetes", config_file=config, **given
        )
        errors: list[BaseException] = []

        def work() -> None:
            try:
                SparkApplicationOperator.execute.__wrapped__(task, {"ti": ti})  # type: ignore[attr-defined]
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert soon(lambda: "pod_name" in pushed)
        assert soon(lambda: any(raw_state(item) == "RUNNING" for item in of_run(resources, run_id)))
        task.on_kill()
        thread.join(30)
        assert not thread.is_alive()
        return errors[0]

    error = killed(1, on_kill_action="keep_pod")
    assert isinstance(error, ApplicationGone)
    assert "was left to run on" in str(error)
    (found,) = of_run(resources, run_id)
    assert raw_state(found) == "RUNNING"
    assert pushed["pod_name"] == f"{found['metadata']['name']}-driver"
    assert pushed["pod_namespace"] == NAMESPACE

    pushed.clear()
    assert "was cancelled" in str(killed(2))
    assert pushed["pod_name"] == f"{found['metadata']['name']}-driver"
    assert of_run(resources, run_id) == []
