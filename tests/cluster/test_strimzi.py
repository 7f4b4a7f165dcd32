"""Clusters and topics of Strimzi's, on an API server with its CRDs. What the operators would say is set by the test, so
that what they seldom say is seen too; test_strimzi_operator.py has the real ones.
"""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bigdata.errors import ConfigError, StackError
from bigdata.kafka import strimzi
from bigdata.kafka.strimzi import KAFKA, TOPIC
from bigdata.kafka.topic_resource import ensure_topic_resource, resource_name
from bigdata.kubernetes.resources import Object, Resources
from bigdata.kubernetes.shared_watch import SharedWatch
from bigdata.triggers import clusters
from bigdata.triggers.strimzi import KafkaResourceTrigger

from . import kustomized
from .conftest import SERVICE_ACCOUNT, kubeconfig

pytestmark = pytest.mark.cluster
LISTENERS: list[dict[str, Any]] = [
    {"name": "plain", "port": 9092, "type": "internal", "tls": False},
    {"name": "tls", "port": 9093, "type": "internal", "tls": True, "authentication": {"type": "tls"}},
    {"name": "scram", "port": 9094, "type": "internal", "tls": True, "authentication": {"type": "scram-sha-512"}},
    {"name": "open", "port": 9095, "type": "internal", "tls": True},
]


@pytest.fixture(scope="module", autouse=True)
def crds(api_client: Any) -> Iterator[None]:
    with kustomized.kinds("strimzi", "kafkas.kafka.strimzi.io", "kafkatopics.kafka.strimzi.io"):
        yield


@pytest.fixture
def kafkas(api_client: Any, namespace: str) -> Iterator[Resources]:
    found = Resources(api_client, KAFKA, namespace)
    yield found
    for item in found.select(""):
        found.delete(item["metadata"]["name"])


@pytest.fixture
def topics(api_client: Any, namespace: str) -> Iterator[Resources]:
    found = Resources(api_client, TOPIC, namespace)
    yield found
    for item in found.select(""):
        found.delete(item["metadata"]["name"])


def make(kafkas: Resources, name: str = "kafka") -> Object:
    body = {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "Kafka",
        "metadata": {"name": name},
        "spec": {"kafka": {"listeners": LISTENERS}, "entityOperator": {}},
    }
    return kafkas.create(body)[0]


def say(resources: Resources, name: str, status: dict[str, Any]) -> None:
    """What the operator would."""
    resources._api.patch_namespaced_custom_object_status(
        *resources._where, name, {"status": status}, _content_type="application/merge-patch+json"
    )


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    since = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    more = {"reason": reason, "message": message} if reason else {}
    return {"type": kind, "status": status, **since, **more}


def test_a_cluster_is_waited_for_from_before_it_exists(kafkas: Resources, caplog: pytest.LogCaptureFixture) -> None:
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
    def properties(listener: str = "", user: str = "") -> dict[str, str]:
        return strimzi.properties(api_client, "connection kafka_test", "kafka", ready.namespace, listener, user)

    assert properties() == {"bootstrap.servers": "kafka-bootstrap:9092", "security.protocol": "PLAINTEXT"}
    ca = {"ssl.ca.pem": "-----ca-----"}
    assert properties("open") == {"bootstrap.servers": "kafka-bootstrap:9095", "security.protocol": "SSL", **ca}
    assert properties(user=user) == {
        "bootstrap.servers": "kafka-bootstrap:9093",
        "security.protocol": "SSL",
        "ssl.certificate.pem": "-----crt-----",
        "ssl.key.pem": "-----key-----",
        **ca,
    }
    assert properties("scram", user) == {
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
        strimzi.properties(api_client, "connection kafka_test", cluster, ready.namespace, listener, user)


def test_a_user_of_another_kind(api_client: Any, ready: Resources, core: Any) -> None:
    data = {"password": base64.b64encode(b"only-for-this-test").decode()}
    core.create_namespaced_secret(ready.namespace, {"metadata": {"name": "scram-user"}, "data": data})
    try:
        with pytest.raises(StackError, match=r"no user.crt \(it has password\)") as caught:
            strimzi.properties(api_client, "c", "kafka", ready.namespace, "tls", "scram-user")
        assert "only-for-this-test" not in str(caught.value)
    finally:
        core.delete_namespaced_secret("scram-user", ready.namespace)


def test_a_cluster_without_addresses_yet(api_client: Any, kafkas: Resources) -> None:
    make(kafkas)
    with pytest.raises(StackError, match="no address of its listener plain yet"):
        strimzi.properties(api_client, "connection kafka_test", "kafka", kafkas.namespace)


class Operator:
    """Says the same of each version of a topic, a moment after it sees it."""

    def __init__(self, topics: Resources, *conditions: dict[str, Any]) -> None:
        self.topics, self.conditions, self.stopped = topics, list(conditions), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.stopped.wait(0.3):
            for item in self.topics.select(""):
                generation = item["metadata"]["generation"]
                if item.get("status", {}).get("observedGeneration") != generation:
                    status = {"observedGeneration": generation, "conditions": self.conditions}
                    say(self.topics, item["metadata"]["name"], status)


def test_a_topic_is_made_widened_and_never_shrunk(api_client: Any, topics: Resources) -> None:
    def ensure(partitions: int = -1, replicas: int = -1, configs: dict[str, Any] | None = None) -> Any:
        with Operator(topics, condition("Ready", "True")):
            found = ensure_topic_resource(
                api_client, "kafka", topics.namespace, "titanic.rows", partitions, replicas, configs
            )
        return found["spec"]

    assert ensure() == {"topicName": "titanic.rows"}
    assert ensure(3, 2, {"retention.ms": 1000}) == {
        "topicName": "titanic.rows",
        "partitions": 3,
        "replicas": 2,
        "config": {"retention.ms": 1000},
    }
    assert ensure(9)["partitions"] == 9
    assert ensure(6)["partitions"] == 9
    assert ensure(-1, 3)["replicas"] == 2
    found = topics.read("titanic.rows")
    assert found is not None
    assert found["metadata"]["labels"] == {"strimzi.io/cluster": "kafka"}


def test_settings_that_others_gave_a_topic_stay(api_client: Any, topics: Resources) -> None:
    body = {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {"name": "rows", "labels": {"strimzi.io/cluster": "kafka", "team": "data"}},
        "spec": {"partitions": 12, "config": {"cleanup.policy": "compact"}},
    }
    topics.apply(body, "somebody")
    with Operator(topics, condition("Ready", "True")):
        found = ensure_topic_resource(api_client, "kafka", topics.namespace, "rows", 3, configs={"retention.ms": 1000})
    assert found["spec"]["partitions"] == 12
    assert found["spec"]["config"] == {"cleanup.policy": "compact", "retention.ms": 1000}
    assert found["metadata"]["labels"]["team"] == "data"


def test_what_the_operator_refuses_is_told(api_client: Any, topics: Resources) -> None:
    refused = condition("Ready", "False", "KafkaError", "Replication factor: 7 larger than available brokers: 1.")
    with Operator(topics, refused), pytest.raises(ConfigError, match="rows: KafkaError: Replication factor: 7 larger"):
        ensure_topic_resource(api_client, "kafka", topics.namespace, "rows", 1, 7)


def test_an_operator_that_does_not_answer(api_client: Any, topics: Resources) -> None:
    start = time.monotonic()
    with pytest.raises(StackError, match="rows is not ready after 2 s"):
        ensure_topic_resource(api_client, "kafka", topics.namespace, "rows", 1, timeout=2)
    assert time.monotonic() - start < 10


def test_a_topic_of_another_cluster_is_left_alone(api_client: Any, topics: Resources) -> None:
    with Operator(topics, condition("Ready", "True")):
        ensure_topic_resource(api_client, "theirs", topics.namespace, "rows", 1)
        with pytest.raises(StackError, match="rows is of another cluster"):
            ensure_topic_resource(api_client, "kafka", topics.namespace, "rows", 2)
    found = topics.read("rows")
    assert found is not None
    assert found["spec"]["partitions"] == 1


def test_a_name_that_kubernetes_does_not_take(api_client: Any, topics: Resources) -> None:
    names = {resource_name(name) for name in ("Rows_1", "rows_1", "rows-1", "Rows.1")}
    assert len(names) == 4
    with Operator(topics, condition("Ready", "True")):
        found = ensure_topic_resource(api_client, "kafka", topics.namespace, "Rows_1", 1)
    assert found["metadata"]["name"] == resource_name("Rows_1")
    assert found["spec"]["topicName"] == "Rows_1"
