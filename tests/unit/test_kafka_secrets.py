"""Credentials of a Kafka connection as a manifest's Secrets: where a pod finds them, and what stands for them here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bigdata import connections
from bigdata.errors import ConfigError
from bigdata.kafka.config import KafkaConfig

SCRAM = {
    "bootstrap.servers": "b:9094",
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "me",
    "sasl.password": "hunter2-hunter2",
}
MAPPING = {"kafka-credentials": "kafka_test"}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Define the connection kafka_test."""

    def define(extra: dict[str, str], **fields: str) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_KAFKA_TEST", json.dumps({"conn_type": "kafka", "extra": extra, **fields}))

    return define


def refs(properties: dict[str, str]) -> dict[str, tuple[str, str]]:
    config = KafkaConfig.from_properties("test", properties)
    return {key: tuple(ref) for key, ref in connections.kafka_secret_refs("kafka_test", config).items()}


@pytest.mark.parametrize(("default", "secret"), [("kafka_test", "kafka-credentials"), ("another", "kafka-test")])
def test_a_connection_with_an_address_stands_for_one_secret(
    connect: Any, default: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__BIGDATA__KAFKA_CONN_ID", default)
    connect(SCRAM)
    assert refs(SCRAM | {"ssl.ca.pem": "CA"}) == {
        "sasl.password": (secret, "sasl.password"),
        "ssl.ca.pem": (secret, "ssl.ca.pem"),
    }
    assert refs({"bootstrap.servers": "b:9092"}) == {}


def test_a_cluster_of_strimzi_has_secrets_of_its_own(connect: Any) -> None:
    connect({"strimzi.cluster": "kafka", "strimzi.user": "streamer"})
    assert refs(SCRAM | {"ssl.ca.pem": "CA"}) == {
        "sasl.password": ("streamer", "password"),
        "ssl.ca.pem": ("kafka-cluster-ca-cert", "ca.crt"),
    }
    mutual = {"security.protocol": "SSL", "ssl.ca.pem": "CA", "ssl.certificate.pem": "CRT", "ssl.key.pem": "KEY"}
    assert refs({"bootstrap.servers": "b:9093"} | mutual) == {
        "ssl.ca.pem": ("kafka-cluster-ca-cert", "ca.crt"),
        "ssl.certificate.pem": ("streamer", "user.crt"),
        "ssl.key.pem": ("streamer", "user.key"),
    }


def test_here_the_secrets_are_the_connections_own(connect: Any, tmp_path: Path) -> None:
    """Also those that the connection keeps in its password or in a file."""
    (tmp_path / "ca.pem").write_text("AUTHORITY")
    without = {key: value for key, value in SCRAM.items() if key != "sasl.password"}
    connect(without | {"ssl.ca.location": str(tmp_path / "ca.pem")}, password="hunter3-hunter3")
    assert connections.secret_value(MAPPING, "kafka-credentials", "sasl.password") == "hunter3-hunter3"
    assert connections.secret_value(MAPPING, "kafka-credentials", "ssl.ca.pem") == "AUTHORITY"
    with pytest.raises(ConfigError, match=r"kafka-credentials, key ssl.key.pem: connection kafka_test has none"):
        connections.secret_value(MAPPING, "kafka-credentials", "ssl.key.pem")
