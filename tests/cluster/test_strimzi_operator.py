"""The local overlay of k8s/ with Strimzi's real operators: the cluster comes up, its users get their Secrets, and a
worker's pod goes through kafka_smoke by them, with the rights of k8s/base and no other.

CHART_STRIMZI says where the chart is; the images that it names must be to be had, as must the one of Airflow.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bigdata.errors import ConfigError
from bigdata.kafka.strimzi import KAFKA, TOPIC
from bigdata.kafka.topic_resource import ensure_topic_resource
from bigdata.kubernetes.resources import Resources
from bigdata.triggers.strimzi import KafkaResourceTrigger

from ..waiting import soon
from . import helm, kustomized

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
IMAGE = os.environ.get("BIGDATA_AIRFLOW_IMAGE", "bigdata/airflow:3.3.2")
ACCOUNT = "airflow-worker"


@pytest.fixture(scope="module")
def names(core: Any) -> Iterator[dict[str, str]]:
    """The namespaces of k8s/base, with Strimzi's operator beside them and one broker."""
    chart = helm.chart("CHART_STRIMZI", "helm/strimzi.yaml")
    names = kustomized.names()
    operator = names["bigdata"].replace("bigdata", "strimzi")
    with kustomized.applied(kustomized.build("base", names)):
        core.create_namespaced_service_account(names["airflow"], {"metadata": {"name": ACCOUNT}})
        watched = f"watchNamespaces={{{names['bigdata']}}}"
        options = ["--namespace", operator, "--create-namespace", "--values", str(ROOT / "helm" / "strimzi.yaml")]
        helm.helm("install", "strimzi", chart, *options, "--set", watched, "--wait", "--timeout", "5m")
        try:
            kustomized.apply(kustomized.build("overlays/local/kafka", names))
            yield names
        finally:
            # A topic that outlives its cluster keeps a finalizer that nobody takes off.
            for kind in ("kafkatopics", "kafkausers", "kafkas", "kafkanodepools"):
                command = ["kubectl", "delete", f"{kind}.kafka.strimzi.io", "--all", "--namespace", names["bigdata"]]
                subprocess.run([*command, "--timeout=90s"], check=True, capture_output=True)
            helm.helm("uninstall", "strimzi", "--namespace", operator, "--wait")
            core.delete_namespace(operator)


@pytest.fixture(scope="module")
def ready(names: dict[str, str]) -> dict[str, str]:
    """The same, once the trigger has said so."""
    trigger = KafkaResourceTrigger({"config_file": os.environ["KUBECONFIG"]}, names["bigdata"], "kafka")

    async def wait() -> Any:
        return (await asyncio.wait_for(anext(aiter(trigger.run())), 300)).payload

    assert asyncio.run(wait()) == {"found": None}
    return names


def test_the_cluster_its_topics_and_its_user_are_ready(api_client: Any, core: Any, ready: dict[str, str]) -> None:
    kafka = Resources(api_client, KAFKA, ready["bigdata"]).read("kafka")
    assert kafka is not None
    assert {item["name"] for item in kafka["status"]["listeners"]} == {"plain", "tls"}
    topics = Resources(api_client, TOPIC, ready["bigdata"])

    def unready() -> list[str]:
        return [
            item["metadata"]["name"]
            for item in topics.select("")
            if not any(said["type"] == "Ready" for said in item.get("status", {}).get("conditions", []))
        ]

    assert soon(lambda: not unready(), 60), unready()
    secrets = {item.metadata.name for item in core.list_namespaced_secret(ready["bigdata"]).items}
    assert {"airflow", "kafka-cluster-ca-cert"} <= secrets


def test_a_topic_by_the_topic_operator(api_client: Any, ready: dict[str, str]) -> None:
    def ensure(*arguments: Any) -> Any:
        return ensure_topic_resource(api_client, "kafka", ready["bigdata"], "Rows_1", *arguments)

    assert ensure(3, 1, {"retention.ms": 3_600_000})["spec"]["partitions"] == 3
    assert ensure(6)["spec"]["partitions"] == 6
    assert ensure(2)["spec"]["partitions"] == 6
    with pytest.raises(ConfigError, match="retention.ms"):
        ensure(6, 1, {"retention.ms": "for ever"})
    # What was refused does not stand in the way of what is right.
    assert ensure(6, 1, {"retention.ms": 7_200_000})["spec"]["config"] == {"retention.ms": 7_200_000}
    with pytest.raises(ConfigError, match="(?i)replication factor"):
        ensure_topic_resource(api_client, "kafka", ready["bigdata"], "thrice", 1, 3)


def test_a_worker_comes_in_by_the_user_s_certificate(core: Any, ready: dict[str, str]) -> None:
    """kafka_smoke in a pod: waits by watch, has a topic made by its resource, and moves records by mTLS."""
    options = {"strimzi.cluster": "kafka", "strimzi.namespace": ready["bigdata"], "strimzi.user": "airflow"}
    connections = {
        "AIRFLOW_CONN_KAFKA_DEFAULT": {"conn_type": "bigdata_kafka", "extra": options},
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": {"conn_type": "kubernetes", "extra": {"in_cluster": True}},
    }
    variables = {name: json.dumps(value) for name, value in connections.items()}
    variables |= {"AIRFLOW__BIGDATA__RUNTIME": "kubernetes", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    container = {
        "name": "smoke",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", "airflow db migrate >/dev/null 2>&1; exec airflow dags test kafka_smoke"],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"restartPolicy": "Never", "serviceAccountName": ACCOUNT, "securityContext": security}
    body = {"metadata": {"name": "smoke"}, "spec": spec | {"containers": [container]}}
    core.create_namespaced_pod(ready["airflow"], body)

    def phase() -> str:
        return str(core.read_namespaced_pod("smoke", ready["airflow"]).status.phase)

    assert soon(lambda: phase() in ("Succeeded", "Failed"), 240), phase()
    log = core.read_namespaced_pod_log("smoke", ready["airflow"])
    assert phase() == "Succeeded", log[-5000:]
    assert f"Kafka {ready['bigdata']}/kafka is ready" in log
    assert "1000 records delivered to kafka.smoke" in log
    assert "1000 records of kafka.smoke handled" in log
    secret = core.read_namespaced_secret("airflow", ready["bigdata"]).data
    assert secret["user.key"] not in log
    assert "PRIVATE KEY" not in log
