"""The Kafka of k8s/: where Airflow looks for it, of the embedded one's version, safe, and with rights for each DAG."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bigdata.kafka.naming import PREFIX, TaskNames
from bigdata.local.jars import KAFKA_VERSION
from bigdata.triggers.kafka_messages import GROUP

ROOT = Path(__file__).parents[2]
KAFKA = ROOT / "k8s/base/kafka"
OVERLAYS = {
    "local": [ROOT / "k8s/overlays/local/kafka", KAFKA / "topics"],
    "eks": [KAFKA / "cluster", KAFKA / "topics"],
}


def kinds(overlay: str) -> dict[str, list[dict[str, Any]]]:
    """What an overlay applies, without its patches."""
    found: dict[str, list[dict[str, Any]]] = {}
    for folder in OVERLAYS[overlay]:
        for file in folder.glob("*.yaml"):
            for item in yaml.safe_load_all(file.read_text()):
                found.setdefault(item["kind"], []).append(item)
    return found


def listeners(overlay: str) -> dict[str, dict[str, Any]]:
    (kafka,) = kinds(overlay)["Kafka"]
    return {item["name"]: item for item in kafka["spec"]["kafka"]["listeners"]}


def test_the_local_connection_leads_to_the_plain_listener() -> None:
    made = re.findall(r"kafka='(.*?)'", (ROOT / "k8s/steps/secrets.sh").read_text(), re.DOTALL)[0]
    host, _, port = json.loads(made)["extra"]["bootstrap.servers"].partition(":")
    (kafka,) = kinds("local")["Kafka"]
    plain = listeners("local")["plain"]
    assert host == f"{kafka['metadata']['name']}-kafka-bootstrap.bigdata"  # as Strimzi names it
    assert (int(port), plain["type"], plain["tls"]) == (plain["port"], "internal", False)


def test_the_eks_connection_names_a_user_who_may_come_in_and_whose_secret_airflow_may_read() -> None:
    made = re.findall(r"kafka='(.*?)'", (ROOT / "k8s/steps/secrets.sh").read_text(), re.DOTALL)[1]
    extra = json.loads(made)["extra"]
    listener = listeners("eks")[extra["strimzi.listener"]]
    (user,) = [item for item in kinds("eks")["KafkaUser"] if item["metadata"]["name"] == extra["strimzi.user"]]
    assert user["spec"]["authentication"]["type"] == listener["authentication"]["type"]
    roles = {item["metadata"]["name"]: item for item in yaml.safe_load_all((KAFKA / "roles.yaml").read_text())}
    (secrets,) = [rule for rule in roles["kafka-credentials"]["rules"] if rule["resources"] == ["secrets"]]
    assert (secrets["resourceNames"], secrets["verbs"]) == ([extra["strimzi.user"], "titanic-stream"], ["get"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_of_one_cluster_and_of_the_version_of_the_other_runtimes(overlay: str) -> None:
    found = kinds(overlay)
    (kafka,) = found["Kafka"]
    assert kafka["spec"]["kafka"]["version"] == KAFKA_VERSION
    parts = [item for kind in ("KafkaNodePool", "KafkaTopic", "KafkaUser") for item in found[kind]]
    assert {item["metadata"]["labels"]["strimzi.io/cluster"] for item in parts} == {kafka["metadata"]["name"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_topic_comes_of_a_wrong_name_and_each_has_copies_that_fit(overlay: str) -> None:
    (kafka,) = kinds(overlay)["Kafka"]
    config = kafka["spec"]["kafka"]["config"]
    assert config["auto.create.topics.enable"] is False
    pools = [pool["spec"] for pool in kinds(overlay)["KafkaNodePool"]]
    brokers = sum(pool["replicas"] for pool in pools if "broker" in pool["roles"])
    copies = {name: number for name, number in config.items() if name.endswith("replication.factor")}
    assert len(copies) == 3
    assert max(copies.values()) <= brokers
    least = {config["min.insync.replicas"], config["transaction.state.log.min.isr"]}
    assert max(least) <= min(copies.values())
    assert all("replicas" not in topic["spec"] for topic in kinds(overlay)["KafkaTopic"])


def test_production_keeps_its_data_and_asks_who_is_there() -> None:
    pools = {pool["metadata"]["name"]: pool["spec"] for pool in kinds("eks")["KafkaNodePool"]}
    assert {name: (pool["roles"], pool["replicas"]) for name, pool in pools.items()} == {
        "controllers": (["controller"], 3),
        "brokers": (["broker"], 3),
    }
    volumes = pools["brokers"]["storage"]["volumes"]
    assert [(volume["size"], volume["deleteClaim"]) for volume in volumes] == [("15Gi", False)] * 2
    (kafka,) = kinds("eks")["Kafka"]
    spec = kafka["spec"]["kafka"]
    assert (spec["config"]["min.insync.replicas"], spec["config"]["num.partitions"]) == (2, 9)
    assert spec["config"]["log.retention.hours"] == 2160
    assert spec["authorization"] == {"type": "simple"}
    found = {
        name: (item["port"], item.get("authentication", {}).get("type")) for name, item in listeners("eks").items()
    }
    assert found == {"plain": (9092, None), "tls": (9093, "tls"), "external": (9094, "scram-sha-512")}
    (metrics,) = [item for item in kinds("eks")["ConfigMap"] if item["metadata"]["name"] == "kafka-metrics"]
    for part in (spec, kafka["spec"]["cruiseControl"]):
        wanted = part["metricsConfig"]["valueFrom"]["configMapKeyRef"]
        assert yaml.safe_load(metrics["data"][wanted["key"]])["rules"]


def allows(user: str, kind: str, name: str, operation: str) -> bool:
    (found,) = [item for item in kinds("eks")["KafkaUser"] if item["metadata"]["name"] == user]
    for acl in found["spec"]["authorization"]["acls"]:
        resource = acl["resource"]
        fits = (
            name.startswith(resource.get("name", ""))
            if resource.get("patternType") == "prefix"
            else (name == resource.get("name"))
        )
        if resource["type"] == kind and fits and operation in acl["operations"]:
            return True
    return False


@pytest.mark.parametrize("dag", ["titanic_etl", "titanic_events", "kafka_smoke"])
def test_airflow_s_user_may_do_what_the_dags_do(dag: str) -> None:
    task = TaskNames(dag, "task", "manual__2026-11-26T10:00:00+00:00")
    assert allows("airflow", "transactionalId", task.transactional_id, "Write")
    assert allows("airflow", "group", task.transactional_id, "Read")  # where the receipt is
    if dag.startswith("titanic"):
        assert allows("airflow", "group", task.group, "Read")
    assert allows("airflow", "group", f"{PREFIX}.verify", "Read")
    assert allows("airflow", "group", GROUP, "Read")
    for topic in kinds("eks")["KafkaTopic"]:
        for operation in ("Read", "Write", "Describe", "Create", "DescribeConfigs"):
            assert allows("airflow", "topic", topic["metadata"]["name"], operation)


@pytest.mark.parametrize("user", ["analyst", "titanic-stream"])
def test_readers_may_not_write(user: str) -> None:
    assert allows(user, "topic", "titanic.passengers", "Read")
    assert not allows(user, "topic", "titanic.passengers", "Write")
    assert not allows(user, "group", "titanic_etl", "Read")


def test_spark_s_user_may_read_with_the_groups_that_the_job_names() -> None:
    assert allows("titanic-stream", "group", "titanic_stream-7f-executor", "Read")
    assert not allows("titanic-stream", "group", "bigdata.verify", "Read")
