"""The Kafka of k8s/overlays: where Airflow looks for it, of the embedded one's version, and strict about topics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bigdata.local.jars import KAFKA_VERSION

ROOT = Path(__file__).parents[2]
OVERLAYS = ["local", "eks"]


def kinds(overlay: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for item in yaml.safe_load_all((ROOT / f"k8s/overlays/{overlay}/kafka/kafka.yaml").read_text()):
        found.setdefault(item["kind"], []).append(item)
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_airflow_s_connection_leads_to_it(overlay: str) -> None:
    (made,) = re.findall(r"kafka='(.*)'", (ROOT / "k8s/steps/secrets.sh").read_text())
    host, _, port = json.loads(made)["extra"]["bootstrap.servers"].partition(":")
    (kafka,) = kinds(overlay)["Kafka"]
    (listener,) = kafka["spec"]["kafka"]["listeners"]
    assert host == f"{kafka['metadata']['name']}-kafka-bootstrap.bigdata"  # as Strimzi names it
    assert (int(port), listener["type"], listener["tls"]) == (listener["port"], "internal", False)
    pools = kinds(overlay)["KafkaNodePool"]
    assert {pool["metadata"]["labels"]["strimzi.io/cluster"] for pool in pools} == {kafka["metadata"]["name"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_version_is_the_one_of_the_other_runtimes(overlay: str) -> None:
    (kafka,) = kinds(overlay)["Kafka"]
    assert kafka["spec"]["kafka"]["version"] == KAFKA_VERSION


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
