"""The main DAG with its Spark part on the cluster: the same file, the same manifest, S3 and Kafka that pods reach.

Airflow reaches the cluster as an account that has the Role of k8s/base and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.settings import Settings
from bigdata.storage import dataset
from bigdata.storage.objects import ObjectStore

from ..waiting import soon
from . import services
from .conftest import kubeconfig as kubeconfig_of
from .operated import NAMESPACE, Bench

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(core: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with services.s3(core, tmp_path_factory.mktemp("s3")) as store:
        secret = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
        body = {"metadata": {"name": "aws-credentials"}, "stringData": secret}
        core.create_namespaced_secret(NAMESPACE, body)
        yield store
        core.delete_namespaced_secret("aws-credentials", NAMESPACE)


@pytest.fixture
def kafka(core: Any, settings: Settings) -> Iterator[KafkaConfig]:
    with services.kafka(core, settings) as config:
        yield config


@pytest.fixture(scope="module")
def kubeconfig(core: Any, api_client: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of an account with the Role spark-submitter."""
    from kubernetes.client import RbacAuthorizationV1Api

    core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": "airflow"}})
    binding = {
        "metadata": {"name": "airflow"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "spark-submitter"},
        "subjects": [{"kind": "ServiceAccount", "name": "airflow", "namespace": NAMESPACE}],
    }
    rbac = RbacAuthorizationV1Api(api_client)
    rbac.create_namespaced_role_binding(NAMESPACE, binding)
    yield kubeconfig_of(core, NAMESPACE, "airflow", tmp_path_factory.mktemp("kube"))
    rbac.delete_namespaced_role_binding("airflow", NAMESPACE)
    core.delete_namespaced_service_account("airflow", NAMESPACE)


@pytest.fixture
def run_dag(
    airflow_db: None,
    core: Any,
    bench: Bench,
    kubeconfig: Path,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Run a DAG as ``airflow dags test`` does; gives its output and its XComs."""
    connections = {
        "AWS_DEFAULT": services.connection(store),
        "KUBERNETES_DEFAULT": {"conn_type": "kubernetes", "extra": {"kube_config_path": str(kubeconfig)}},
    }
    for name, connection in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "")
    monkeypatch.setenv("AIRFLOW__BIGDATA__RUNTIME", "kubernetes")
    monkeypatch.setenv("AIRFLOW__BIGDATA__NAMESPACE", NAMESPACE)

    def run_dag(dag_id: str, conf: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        command = ["airflow", "dags", "test", dag_id, "--conf", json.dumps(conf)]
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=500, check=False)
        log = done.stdout + done.stderr
        assert done.returncode == 0, log[-6000:]
        run_id = re.search(r"run_id[=:] ?'?(manual__[^\s',]+)", log)
        assert run_id, log[-3000:]
        with create_session() as session:
            rows = session.scalars(XComModel.get_many(run_id=run_id[1], key="return_value", dag_ids=dag_id))
            return log, {row.task_id: XComModel.deserialize_value(row) for row in rows}

    return run_dag


def params() -> dict[str, Any]:
    unique = uuid4().hex[:8]
    return {"raw_bucket": f"raw-{unique}", "curated_bucket": f"curated-{unique}"}


def check_report(report: dict[str, Any], store: ObjectStore, conf: dict[str, Any]) -> None:
    assert (report["passengers"], report["survivors"]) == (891, 342)
    assert report["plot_file"] == ""  # a worker's disk goes with it
    assert report["by_sex"] == {"female": 233, "male": 109}
    current = dataset.current(store.filesystem(), f"{conf['curated_bucket']}/titanic")
    assert (current.rows_in, current.rows_out, current.rows_rejected) == (891, 891, 0)
    assert dataset.dataset(store.filesystem(), current.passengers_path).count_rows() == 891


def test_the_main_dag_whole(
    run_dag: Callable[..., Any],
    store: ObjectStore,
    kafka: KafkaConfig,
    bench: Bench,
    core: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = {"conn_type": "kafka", "extra": {"bootstrap.servers": kafka.bootstrap_servers}}
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps(connection))
    conf = params() | {"topic": f"titanic.{uuid4().hex[:8]}"}

    log, xcoms = run_dag("titanic_etl", conf)

    check_report(xcoms["report"], store, conf)
    assert xcoms["verify"] == {"sent": 891, "found": 891, "others": 0, "read": 891}
    assert "Created SparkApplication" in log
    assert "(COMPLETED)" in log
    assert "Running Spark version 4.2.0" in log
    assert store.secret_key not in log
    assert bench.resources.select("") == []
    of_spark = lambda: core.list_namespaced_pod(NAMESPACE, label_selector="spark-role").items  # noqa: E731
    assert soon(lambda: not of_spark(), 30)


def test_the_same_manifest_by_the_providers_operator(
    run_dag: Callable[..., Any], store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It reads the subresource sparkapplications/status, for which our own Role has no need.
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": os.environ["KUBECONFIG"]}}
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
    conf = params()

    _, xcoms = run_dag("titanic_etl_stock", conf)

    check_report(xcoms["report"], store, conf)
