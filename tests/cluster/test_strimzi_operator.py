"""The local overlay of k8s/ with Strimzi's real operators: the cluster comes up, its users get their Secrets, and a
worker's pod goes through kafka_smoke by them, with the rights of k8s/base and no other.

CHART_STRIMZI says where the chart is; the images that it names must be to be had, as must the one of Airflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bigdata.errors import ConfigError
from bigdata.kafka.strimzi import KAFKA, TOPIC
from bigdata.kafka.topic_resource import ensure_topic_resource
from bigdata.kubernetes.resources import Resources

from ..waiting import soon
from . import helm, kustomized, strimzi_cluster

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def ready(core: Any) -> Iterator[dict[str, str]]:
    """The namespaces of k8s/base, with one broker that the trigger has called ready."""
    with strimzi_cluster.installed(core, helm.chart("CHART_STRIMZI", "helm/strimzi.yaml")) as names:
        kustomized.apply(kustomized.build("overlays/local/kafka", names))
        assert strimzi_cluster.wait(names["bigdata"]) == {"found": None}
        yield names


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
    known = {"kafka_default": strimzi_cluster.connection(ready["bigdata"])}
    log = strimzi_cluster.dags_test(core, ready, "smoke", known, ("kafka_smoke", {}))
    assert f"Kafka {ready['bigdata']}/kafka is ready" in log
    assert "1000 records delivered to kafka.smoke" in log
    assert "1000 records of kafka.smoke handled" in log
    secret = core.read_namespaced_secret("airflow", ready["bigdata"]).data
    assert secret["user.key"] not in log
    assert "PRIVATE KEY" not in log
