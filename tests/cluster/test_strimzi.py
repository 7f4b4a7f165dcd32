"""Clusters of Strimzi's, on an API server with its CRDs. What the operators would say is set by the test, so that what
they seldom say is seen too; test_strimzi_operator.py has the real ones.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bigdata.errors import ConfigError, StackError
from bigdata.kafka.strimzi import KAFKA, properties
from bigdata.kubernetes.resources import Object, Resources
from bigdata.kubernetes.shared_watch import SharedWatch
from bigdata.triggers import clusters
from bigdata.triggers.strimzi import KafkaResourceTrigger

from .conftest import SERVICE_ACCOUNT, kubeconfig
from .statuses import condition, emptied, say

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("strimzi")]
LISTENERS: list[dict[str, Any]] = [
    {"name": "plain", "port": 9092, "type": "internal", "tls": False},
    {"name": "tls", "port": 9093, "type": "internal", "tls": True, "authentication": {"type": "tls"}},
    {"name": "scram", "port": 9094, "type": "internal", "tls": True, "authentication": {"type": "scram-sha-512"}},
    {"name": "open", "port": 9095, "type": "internal", "tls": True},
]


@pytest.fixture
def kafkas(api_client: Any, namespace: str) -> Iterator[Resources]:
    with emptied(Resources(api_client, KAFKA, namespace)) as found:
        yield found


def make(kafkas: Resources) -> Object:
    body = {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "Kafka",
        "metadata": {"name": "kafka"},
        "spec": {"kafka": {"listeners": LISTENERS}, "entityOperator": {}},
    }
    return kafkas.create(body)[0]


def test_a_cluster_is_waited_for_from_before_it_exists(kafkas: Resources) -> None:
    trigger = KafkaResourceTrigger({"config_file": os.environ["KUBECONFIG"]}, kafkas.namespace, "kafka")
    said: list[str] = []

    async def run() -> Any:
        waiting = asyncio.ensure_future(anext(aiter(trigger.run())))

        async def then(act: Callable[[], object], line: str) -> None:
            await asyncio.to_thread(act)
            async with asyncio.timeout(10):
                while not any(line in message for message in said):
                    await asyncio.sleep(0.05)
            assert not waiting.done()

        await then(lambda: None, "it does not exist")
        await then(lambda: make(kafkas), "its operator has not seen it as it is now")
        creating = [condition("NotReady", "True", "Creating", "Kafka cluster is being deployed")]
        status = {"observedGeneration": 1, "conditions": creating}
        await then(lambda: say(kafkas, "kafka", status), "it is not ready (Creating: Kafka cluster is being deployed)")
        # Ready, but as it was before a change that the operator has not seen.
        change = {"spec": {"clusterCa": {"validityDays": 400}}}
        ready = {"observedGeneration": 1, "conditions": [condition("Ready", "True")]}
        said.clear()
        await then(lambda: (kafkas.patch("kafka", change), say(kafkas, "kafka", ready)), "has not seen it as it is now")
        await asyncio.to_thread(say, kafkas, "kafka", ready | {"observedGeneration": 2})
        return (await asyncio.wait_for(waiting, 10)).payload

    class Keep:
        """In place of the task's log."""

        def info(self, message: str, *arguments: Any) -> None:
            said.append(message % arguments)

    trigger._log = Keep()  # type: ignore[assignment]
    assert asyncio.run(run()) == {"found": None}


def test_a_wait_that_is_forbidden_ends(
    kafkas: Resources, core: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drivers' account may look at no Kafka."""
    monkeypatch.setattr(clusters, "SharedWatch", partial(SharedWatch, patience=2.0))
    config = str(kubeconfig(core, kafkas.namespace, SERVICE_ACCOUNT, tmp_path))
    trigger = KafkaResourceTrigger({"config_file": config}, kafkas.namespace, "kafka")

    async def run() -> Any:
        return (await asyncio.wait_for(anext(aiter(trigger.run())), 30)).payload

    assert "forbidden" in asyncio.run(run()).get("error", "")


@pytest.fixture
def ready(kafkas: Resources) -> Resources:
    """A cluster whose listeners have addresses."""
    make(kafkas)
    listeners = [
        {"name": item["name"], "bootstrapServers": f"kafka-bootstrap:{item['port']}"}
        | ({"certificates": ["-----ca-----"]} if item["tls"] else {})
        for item in LISTENERS
    ]
    say(kafkas, "kafka", {"listeners": listeners})
    return kafkas


@pytest.fixture
def user(core: Any, namespace: str) -> Iterator[str]:
    data = {"password": "only-for-this-test", "user.crt": "-----crt-----", "user.key": "-----key-----"}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    encoded["user.p12"] = base64.b64encode(b"\x30\x82\x0c").decode()  # the operator adds a key store
    core.create_namespaced_secret(namespace, {"metadata": {"name": "airflow"}, "data": encoded})
    yield "airflow"
    core.delete_namespaced_secret("airflow", namespace)


def test_a_cluster_is_a_connection(api_client: Any, ready: Resources, user: str) -> None:
    def by(listener: str = "", user: str = "") -> dict[str, str]:
        return properties(api_client, "connection kafka_test", "kafka", ready.namespace, listener, user)

    assert by() == {"bootstrap.servers": "kafka-bootstrap:9092", "security.protocol": "PLAINTEXT"}
    ca = {"ssl.ca.pem": "-----ca-----"}
    assert by("open") == {"bootstrap.servers": "kafka-bootstrap:9095", "security.protocol": "SSL", **ca}
    assert by(user=user) == {
        "bootstrap.servers": "kafka-bootstrap:9093",
        "security.protocol": "SSL",
        "ssl.certificate.pem": "-----crt-----",
        "ssl.key.pem": "-----key-----",
        **ca,
    }
    assert by("scram", user) == {
        "bootstrap.servers": "kafka-bootstrap:9094",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "airflow",
        "sasl.password": "only-for-this-test",
        **ca,
    }


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("nowhere", "plain", ""), StackError, "there is no Kafka .*/nowhere"),
        (("kafka", "external", ""), ConfigError, "no listener 'external'; it has plain, tls, scram, open"),
        (("kafka", "tls", ""), ConfigError, r"wants strimzi.user \(tls\)"),
        (("kafka", "tls", "nobody"), StackError, "user nobody has no Secret"),
    ],
)
def test_what_is_missing_is_named(
    api_client: Any, ready: Resources, arguments: tuple[str, str, str], error: type[Exception], message: str
) -> None:
    cluster, listener, user = arguments
    with pytest.raises(error, match=message):
        properties(api_client, "connection kafka_test", cluster, ready.namespace, listener, user)


def test_a_user_of_another_kind(api_client: Any, ready: Resources, core: Any) -> None:
    data = {"password": base64.b64encode(b"only-for-this-test").decode()}
    core.create_namespaced_secret(ready.namespace, {"metadata": {"name": "scram-user"}, "data": data})
    try:
        with pytest.raises(StackError, match=r"no user.crt \(it has password\)") as caught:
            properties(api_client, "c", "kafka", ready.namespace, "tls", "scram-user")
        assert "only-for-this-test" not in str(caught.value)
    finally:
        core.delete_namespaced_secret("scram-user", ready.namespace)


def test_a_cluster_without_addresses_yet(api_client: Any, kafkas: Resources) -> None:
    make(kafkas)
    with pytest.raises(StackError, match="no address of its listener plain yet"):
        properties(api_client, "connection kafka_test", "kafka", kafkas.namespace)
