"""Strimzi's operators with a cluster of k8s/, and Airflow's DAGs in a worker's pod, with its rights and no other."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bigdata.triggers.strimzi import KafkaResourceTrigger

from ..waiting import soon
from . import helm, kustomized

ROOT = Path(__file__).parents[2]
IMAGE = os.environ.get("BIGDATA_AIRFLOW_IMAGE", "bigdata/airflow:3.3.2")
ACCOUNT = "airflow-worker"


@contextmanager
def installed(core: Any, chart: str) -> Iterator[dict[str, str]]:
    """The namespaces of k8s/base, with Strimzi's operator beside them; what Kafka was made in them goes at the end."""
    names = kustomized.names()
    operator = names["bigdata"].replace("bigdata", "strimzi")
    with kustomized.applied(kustomized.build("base", names)):
        core.create_namespaced_service_account(names["airflow"], {"metadata": {"name": ACCOUNT}})
        watched = f"watchNamespaces={{{names['bigdata']}}}"
        options = ["--namespace", operator, "--create-namespace", "--values", str(ROOT / "helm" / "strimzi.yaml")]
        helm.helm("install", "strimzi", chart, *options, "--set", watched, "--wait", "--timeout", "5m")
        try:
            yield names
        finally:
            # A topic that outlives its cluster keeps a finalizer that nobody takes off.
            for kind in ("kafkatopics", "kafkausers", "kafkas", "kafkanodepools"):
                command = ["kubectl", "delete", f"{kind}.kafka.strimzi.io", "--all", "--namespace", names["bigdata"]]
                subprocess.run([*command, "--timeout=90s"], check=True, capture_output=True)
            helm.helm("uninstall", "strimzi", "--namespace", operator, "--wait")
            core.delete_namespace(operator)


def wait(namespace: str) -> Any:
    """What the trigger says once the cluster is ready."""
    trigger = KafkaResourceTrigger({"config_file": os.environ["KUBECONFIG"]}, namespace, "kafka")

    async def first() -> Any:
        return (await asyncio.wait_for(anext(aiter(trigger.run())), 300)).payload

    return asyncio.run(first())


def connection(namespace: str, user: str = "airflow") -> dict[str, Any]:
    """Airflow's connection to the cluster as a KafkaUser."""
    options = {"strimzi.cluster": "kafka", "strimzi.namespace": namespace, "strimzi.user": user}
    return {"conn_type": "bigdata_kafka", "extra": options}


def dags_test(
    core: Any,
    names: Mapping[str, str],
    pod: str,
    connections: Mapping[str, Any],
    *runs: tuple[str, Mapping[str, Any]],
    seconds: float = 240,
) -> str:
    """Run DAGs one after the other in a worker's pod; gives its log when all were green.

    :param connections: by their ids, besides ``kubernetes_default``.
    :param runs: DAGs, and what their runs are configured with.
    """
    known = {"kubernetes_default": {"conn_type": "kubernetes", "extra": {"in_cluster": True}}, **connections}
    variables = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in known.items()}
    variables |= {
        "AIRFLOW__BIGDATA__RUNTIME": "kubernetes",
        "AIRFLOW__BIGDATA__NAMESPACE": names["bigdata"],
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    commands = [f"airflow dags test {dag_id} --conf '{json.dumps(conf)}'" for dag_id, conf in runs]
    container = {
        "name": "worker",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", " && ".join(["airflow db migrate >/dev/null 2>&1", *commands])],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"restartPolicy": "Never", "serviceAccountName": ACCOUNT, "securityContext": security}
    body = {"metadata": {"name": pod}, "spec": spec | {"containers": [container]}}
    core.create_namespaced_pod(names["airflow"], body)

    def phase() -> str:
        return str(core.read_namespaced_pod(pod, names["airflow"]).status.phase)

    ended = soon(lambda: phase() in ("Succeeded", "Failed"), seconds)
    log = str(core.read_namespaced_pod_log(pod, names["airflow"]))
    assert ended, log[-5000:]
    assert phase() == "Succeeded", log[-5000:]
    return log
