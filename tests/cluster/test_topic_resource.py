"""Topics by Strimzi's KafkaTopic, on an API server with its CRD. What the topic operator would say is set by the test;
test_strimzi_operator.py has the real one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bigdata.errors import ConfigError, StackError
from bigdata.kafka.strimzi import TOPIC
from bigdata.kafka.topic_resource import ensure_topic_resource, resource_name
from bigdata.kubernetes.resources import Resources

from .statuses import condition, emptied, say

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("strimzi")]


@pytest.fixture
def topics(api_client: Any, namespace: str) -> Iterator[Resources]:
    with emptied(Resources(api_client, TOPIC, namespace)) as found:
        yield found


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


def test_settings_of_earlier_calls_stay_but_for_what_was_refused(api_client: Any, topics: Resources) -> None:
    def ensure(configs: dict[str, Any] | None = None, answer: str = "True") -> Any:
        with Operator(topics, condition("Ready", answer, "KafkaError", "no")):
            return ensure_topic_resource(api_client, "kafka", topics.namespace, "rows", 3, configs=configs)

    ensure({"retention.ms": 1000})
    both = {"cleanup.policy": "compact", "retention.ms": 1000}
    assert ensure({"cleanup.policy": "compact"})["spec"]["config"] == both
    assert ensure()["spec"]["config"] == both
    assert ensure({"retention.ms": 2000})["spec"]["config"] == both | {"retention.ms": 2000}
    with pytest.raises(ConfigError, match="KafkaError: no"):
        ensure({"no.such": 1}, "False")
    assert ensure({"retention.ms": 3000})["spec"]["config"] == {"retention.ms": 3000}


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
