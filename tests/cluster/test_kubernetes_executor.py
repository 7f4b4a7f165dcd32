"""Workers as pods: the scheduler's Role, our image, the restricted profile, and logs that are read back from S3.

The scheduler and the API server run beside the cluster, the workers in it, in a namespace of k8s/base.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bigdata.storage.objects import ObjectStore, ensure_bucket

from ..airflow_api import Api
from ..airflow_parts import Airflow
from ..waiting import soon
from . import kustomized, services, worker_template
from .conftest import kubeconfig

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
DAGS = [ROOT / "dags" / "titanic_report.py", Path(__file__).parent / "worker_dags" / "sized.py"]
IMAGE = os.environ.get("BIGDATA_AIRFLOW_IMAGE", "bigdata/airflow:3.3.2")


@pytest.fixture(scope="module")
def namespace(core: Any) -> Iterator[str]:
    """Airflow's, with the accounts that its chart makes."""
    names = kustomized.names()
    with kustomized.applied(kustomized.build("base", names)):
        for account in ("airflow-scheduler", "airflow-worker"):
            core.create_namespaced_service_account(names["airflow"], {"metadata": {"name": account}})
        yield names["airflow"]


@pytest.fixture(scope="module")
def logs(core: Any, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """Where the logs go; the workers have its keys from a Secret."""
    with services.s3(core, tmp_path_factory.mktemp("s3")) as store:
        ensure_bucket(store, "airflow-logs")
        body = {
            "metadata": {"name": "airflow-connections"},
            "stringData": {"AIRFLOW_CONN_AWS_CONN": json.dumps(services.connection(store))},
        }
        core.create_namespaced_secret(namespace, body)
        yield store


LOGGING = {
    "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
    "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "s3://airflow-logs/logs",
    "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "aws_conn",
}


CONFIG = """
[core]
execution_api_server_url = {execution_api}
[logging]
remote_logging = True
remote_base_log_folder = {AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER}
remote_log_conn_id = {AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID}
"""


@pytest.fixture(scope="module")
def airflow(
    core: Any, namespace: str, logs: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("airflow")
    body = {"metadata": {"name": "dags"}, "data": {file.name: file.read_text() for file in DAGS}}
    core.create_namespaced_config_map(namespace, body)
    (home / "dags").mkdir()
    for name, text in body["data"].items():
        (home / "dags" / name).write_text(text)
    repository, _, tag = IMAGE.rpartition(":")
    found = Airflow(
        home,
        home / "dags",
        {
            **LOGGING,
            "AIRFLOW__API__HOST": "0.0.0.0",
            "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
            "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": namespace,
            "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": str(home / "worker.yaml"),
            "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_REPOSITORY": repository,
            "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_TAG": tag,
            "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_PODS_CREATION_BATCH_SIZE": "16",
            "AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
            "AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE": str(kubeconfig(core, namespace, "airflow-scheduler", home)),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "AIRFLOW_CONN_AWS_CONN": json.dumps(services.connection(logs)),
        },
    )
    execution_api = found.url.replace("127.0.0.1", services.own_address(core)) + "/execution/"
    data = {"airflow.cfg": CONFIG.format(execution_api=execution_api, **LOGGING)}
    body = {"metadata": {"name": "airflow-config"}, "data": data}
    core.create_namespaced_config_map(namespace, body)
    (home / "worker.yaml").write_text(yaml.safe_dump(worker_template.worker(IMAGE, home / "chart")))
    try:
        found.start()
        yield found
    finally:
        found.stop()


class Pods:
    """Collects the workers that there were."""

    def __init__(self, core: Any, namespace: str) -> None:
        self.seen: dict[str, Any] = {}
        self._core, self._namespace = core, namespace
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Pods:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(10)

    def now(self) -> list[Any]:
        found: list[Any] = self._core.list_namespaced_pod(self._namespace, label_selector="airflow-worker").items
        return found

    def _look(self) -> None:
        while not self._is_over.wait(0.3):
            self.seen |= {pod.metadata.labels["task_id"]: pod for pod in self.now()}


def secret_keys(pod: Any) -> list[str]:
    """Variables of a worker that are keys of Airflow's own; the Secret of connections it has as a whole."""
    return [item.name for item in pod.spec.containers[0].env if item.value_from and item.value_from.secret_key_ref]


def test_a_run_whose_logs_are_read_back_from_s3(airflow: Airflow, core: Any, namespace: str, logs: ObjectStore) -> None:
    api = Api(airflow.url)
    assert soon(lambda: api.ask("/api/v2/dags")["total_entries"] == len(DAGS), 60)
    with Pods(core, namespace) as pods:
        run = api.trigger("titanic_report")
        assert run.wait(300) == "success", [run.log(task["task_id"]) for task in run.tasks()]
        assert set(pods.seen) == {task["task_id"] for task in run.tasks()}
        assert {pod.spec.service_account_name for pod in pods.seen.values()} == {"airflow-worker"}
        assert not [name for pod in pods.seen.values() for name in secret_keys(pod)]
        # Nothing of it stays on a disk of ours; its pods go, and the log is in S3.
        assert soon(lambda: not pods.now(), 120)
    assert not list(airflow.home.glob("logs/dag_id=*"))
    assert "342 passengers survived, by sex: {'female': 233, 'male': 109}" in run.log("say")


def test_a_task_s_own_size(airflow: Airflow, core: Any, namespace: str) -> None:
    api = Api(airflow.url)
    with Pods(core, namespace) as pods:
        run = api.trigger("sized")
        assert run.wait(200) == "success", run.log("run")
    (container,) = pods.seen["run"].spec.containers
    assert container.resources.requests == {"cpu": "150m", "memory": "700Mi"}
    assert container.resources.limits == {"memory": "700Mi"}
