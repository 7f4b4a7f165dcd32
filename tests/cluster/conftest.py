"""A namespace of its own on the cluster of KUBECONFIG, with a service account for drivers, and what other tests share.

The Spark image must be on the nodes: ``docker build -f docker/spark/Dockerfile -t bigdata/spark:4.2.0 .``, then load
it, such as by ``kind load docker-image bigdata/spark:4.2.0``. Another name: BIGDATA_SPARK_IMAGE.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bigdata.kubernetes.resources import Resources
from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION, OperatorSettings
from bigdata.spark.manifest.application import Application
from bigdata.spark.naming import OURS
from bigdata.spark.native.runtime import NativeRuntime, NativeSettings
from bigdata.spark.runtime import Outcome, State, run

from ..airflow_api import Api
from ..airflow_parts import Airflow
from ..waiting import soon
from . import kustomized, operated
from .line import Line
from .witness import Witness

SERVICE_ACCOUNT = "spark"
# What the chart of operator 2.5.2 gives a driver.
VERBS = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
RESOURCES = ["pods", "configmaps", "persistentvolumeclaims", "services"]


@pytest.fixture(scope="session")
def api_client() -> Any:
    """The client of the cluster; skips without one."""
    from kubernetes.client import VersionApi
    from kubernetes.config import new_client_from_config

    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set: these tests need a cluster")
    client = new_client_from_config()
    VersionApi(client).get_code(_request_timeout=10)
    return client


@pytest.fixture(scope="session")
def core(api_client: Any) -> Any:
    from kubernetes.client import CoreV1Api

    return CoreV1Api(api_client)


@pytest.fixture(scope="session", autouse=True)
def accounts(api_client: Any) -> Iterator[None]:
    """The drivers' account where the operator runs applications, and the submitters' Role."""
    command = ["kubectl", "--namespace", operated.NAMESPACE]
    folder = Path(__file__).parents[2] / "k8s" / "base" / "spark"
    subprocess.run([*command, "apply", "--server-side", "-k", folder], check=True)
    yield
    subprocess.run([*command, "delete", "-k", folder], check=True)


@pytest.fixture(scope="session")
def namespace(api_client: Any, core: Any) -> Iterator[str]:
    from kubernetes.client import RbacAuthorizationV1Api

    name = f"bigdata-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    core.create_namespaced_service_account(name, {"metadata": {"name": SERVICE_ACCOUNT}})
    rbac = RbacAuthorizationV1Api(api_client)
    rules = [{"apiGroups": [""], "resources": RESOURCES, "verbs": VERBS}]
    rbac.create_namespaced_role(name, {"metadata": {"name": SERVICE_ACCOUNT}, "rules": rules})
    bind(api_client, name, SERVICE_ACCOUNT, SERVICE_ACCOUNT)
    yield name
    core.delete_namespace(name)


@pytest.fixture(scope="session")
def strimzi(api_client: Any) -> Iterator[None]:
    """Strimzi's kinds, once: a CRD that is made again soon after it went is minutes in going."""
    needed = (
        "kafkas",
        "kafkanodepools",
        "kafkatopics",
        "kafkausers",
        "kafkarebalances",
        "kafkaconnects",
        "kafkaconnectors",
    )
    with kustomized.kinds("strimzi", *(f"{name}.kafka.strimzi.io" for name in needed)):
        yield


@pytest.fixture
def restricted(core: Any) -> Iterator[str]:
    """A namespace that enforces Pod Security "restricted"."""
    from .restricted import empty  # which imports from here

    with empty(core) as name:
        yield name


def bind(api_client: Any, namespace: str, role: str, account: str) -> None:
    from kubernetes.client import RbacAuthorizationV1Api

    RbacAuthorizationV1Api(api_client).create_namespaced_role_binding(
        namespace,
        {
            "metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        },
    )


def kubeconfig(core: Any, namespace: str, account: str, folder: Path) -> Path:
    """KUBECONFIG's cluster for an account, which has its own rights and nothing else."""
    token = core.create_namespaced_service_account_token(account, namespace, {"spec": {"audiences": []}})
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    for user in config["users"]:
        user["user"] = {"token": token.status.token}
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def left(api_client: Any, namespace: str) -> list[str]:
    """What of ours is in the namespace."""
    from kubernetes.client import CoreV1Api, NetworkingV1Api

    core = CoreV1Api(api_client)
    found = [*core.list_namespaced_pod(namespace).items, *core.list_namespaced_service(namespace).items]
    found += NetworkingV1Api(api_client).list_namespaced_network_policy(namespace).items
    found += core.list_namespaced_config_map(namespace).items
    return [item.metadata.name for item in found if item.metadata.name not in ("kube-root-ca.crt", "job", "kubernetes")]


class Bench:
    """A runtime and what it told."""

    def __init__(self, settings: NativeSettings) -> None:
        self.settings = settings
        self.lines: list[str] = []
        self.states: list[State] = []

    @property
    def runtime(self) -> NativeRuntime:
        return NativeRuntime(self.settings, self.lines.append)

    def run(self, application: Application, on_state: Callable[[State], None] = lambda state: None) -> Outcome:
        def keep(state: State) -> None:
            self.states.append(state)
            on_state(state)

        return run(self.runtime, application, keep)

    def said(self, start: str) -> str:
        (found,) = [line.removeprefix(start).strip() for line in self.lines if line.startswith(start)]
        return found


def job(core: Any) -> None:
    """See to it that the config map with the job is there and is this checkout's."""
    body = {"metadata": {"name": "job"}, "data": {"job.py": operated.JOB.read_text()}}
    there = {item.metadata.name: item.data for item in core.list_namespaced_config_map(operated.NAMESPACE).items}
    if "job" not in there:
        core.create_namespaced_config_map(operated.NAMESPACE, body)
    elif there["job"] != body["data"]:
        core.replace_namespaced_config_map("job", operated.NAMESPACE, body)


@pytest.fixture
def bench(api_client: Any, core: Any) -> Iterator[operated.Bench]:
    if "SPARK_OPERATOR" not in os.environ:
        pytest.skip("SPARK_OPERATOR is not set: say there that the cluster has the Spark operator")
    job(core)
    # What a test that failed before this one has left would fail this one, too.
    for item in (resources := Resources(api_client, SPARK_APPLICATION, operated.NAMESPACE)).select(OURS):
        resources.delete(item["metadata"]["name"])
    bench = operated.Bench(OperatorSettings(api_client, operated.NAMESPACE, startup_timeout=120))
    yield bench
    remaining = lambda: [*left(api_client, operated.NAMESPACE), *bench.resources.select("")]  # noqa: E731
    assert soon(lambda: not remaining(), 60), remaining()


@pytest.fixture(scope="session")
def line() -> Line:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set: these tests need a cluster")
    return Line(Path(os.environ["KUBECONFIG"]))


@pytest.fixture(scope="session")
def airflow(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("airflow")
    config = line.kubeconfig(home / "kubeconfig")
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(config)}}
    environ = {"AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection), "FAULTS_PIDS": str(home / "pids")}
    environ["AIRFLOW__SECRETS__BACKEND"] = ""
    environ["AIRFLOW__BIGDATA__DRIVER_LOG_URL"] = "https://logs.example.org/{namespace}/{pod}"
    airflow = Airflow(home, Path(__file__).parent / "dags", environ)
    try:
        airflow.api = airflow.start()
        yield airflow
    finally:
        airflow.stop()


@pytest.fixture
def api(airflow: Airflow) -> Api:
    return airflow.api


@pytest.fixture
def witness(bench: Bench) -> Iterator[Witness]:
    found = Witness(bench.resources)
    yield found
    found.stop()
