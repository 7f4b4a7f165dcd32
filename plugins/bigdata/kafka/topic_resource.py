"""Topics by Strimzi's KafkaTopic resource: what the resource says, the topic operator makes true.

Contract: a topic that is there keeps its partitions where they are more, and the settings that the call does not name,
whoever made them.
The call returns when the operator says that the topic is as this call wants it, not when the resource is stored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from bigdata.errors import ConfigError, StackError
from bigdata.kafka.strimzi import TOPIC, condition, unready
from bigdata.kubernetes.resources import Object, Resources
from bigdata.kubernetes.watch import follow_for

MANAGER = "airflow-bigdata"
READY_TIMEOUT = 120.0
_CLUSTER = "strimzi.io/cluster"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def ensure_topic_resource(
    api_client: Any,
    cluster: str,
    namespace: str,
    topic: str,
    partitions: int = -1,
    replication_factor: int = -1,
    configs: Mapping[str, Any] | None = None,
    timeout: float = READY_TIMEOUT,
) -> Object:
    """Have a KafkaTopic with at least so many partitions, and wait until it is ready.

    :param partitions: -1 takes the brokers' default, as for ``replication_factor``.
    :param timeout: seconds that the topic operator gets.
    :returns: the resource as it is then.
    :raises ConfigError: the operator refuses it, and says why.
    :raises StackError: the operator does not answer in time, or another cluster has a topic of that name.
    :raises ClusterError: the API server refuses, or does not answer.
    """
    resources, name = Resources(api_client, TOPIC, namespace), resource_name(topic)
    there = resources.read(name)
    if there and there["metadata"].get("labels", {}).get(_CLUSTER) != cluster:
        raise StackError("kafka", f"KafkaTopic {namespace}/{name} is of another cluster", f"This one is {cluster}")
    settings = {**_settings(there), **(configs or {})}
    spec = _spec(topic, partitions, replication_factor, settings, (there or {}).get("spec", {}))
    body = {
        "apiVersion": f"{TOPIC.group}/{TOPIC.version}",
        "kind": TOPIC.kind,
        "metadata": {"name": name, "namespace": namespace, "labels": {_CLUSTER: cluster}},
        "spec": spec,
    }
    return _ready(resources, resources.apply(body, MANAGER), timeout)


def resource_name(topic: str) -> str:
    """The name of a topic's resource: its own where Kubernetes allows that, else one like it with a hash."""
    if _SUBDOMAIN.fullmatch(topic):
        return topic
    plain = re.sub(r"[^a-z0-9]+", "-", topic.lower()).strip("-") or "topic"
    return f"{plain[:200]}-{hashlib.sha256(topic.encode()).hexdigest()[:8]}"


def _settings(there: Mapping[str, Any] | None) -> Object:
    """What earlier calls have set: an apply that no longer names it would take it back.

    Not that of a topic which is not ready: the operator may have refused one of these.
    """
    if there is None or unready(there):
        return {}
    ours = {
        field.removeprefix("f:")
        for entry in there["metadata"].get("managedFields", ())
        if entry["manager"] == MANAGER and entry["operation"] == "Apply"
        for field in entry["fieldsV1"].get("f:spec", {}).get("f:config", {})
    }
    return {key: value for key, value in there["spec"].get("config", {}).items() if key in ours}


def _spec(topic: str, partitions: int, replicas: int, settings: Mapping[str, Any], now: Mapping[str, Any]) -> Object:
    spec: dict[str, Any] = {"topicName": topic}
    if partitions > 0 or "partitions" in now:
        spec["partitions"] = max(partitions, now.get("partitions", -1))
    if "replicas" in now or replicas > 0:
        spec["replicas"] = now.get("replicas", replicas)  # another number is a job for Cruise Control
    if settings:
        spec["config"] = dict(settings)
    return spec


def _ready(resources: Resources, applied: Object, timeout: float) -> Object:
    name, generation = applied["metadata"]["name"], applied["metadata"]["generation"]
    for found in follow_for(resources, name, applied["metadata"]["uid"], timeout):
        if found is None:
            raise StackError("kafka", f"KafkaTopic {name} was deleted while it was waited for")
        status = found.get("status", {})
        if status.get("observedGeneration", 0) >= generation:
            if problem := _problem(status):
                raise ConfigError(f"KafkaTopic {name}: {problem}")
            if condition(status, "Ready").get("status") == "True":
                return found
    raise StackError("kafka", f"KafkaTopic {name} is not ready after {timeout:g} s", "Is the topic operator running?")


def _problem(status: Mapping[str, Any]) -> str:
    ready = condition(status, "Ready")
    if ready.get("status") != "False":
        return ""
    return f"{ready.get('reason', 'not ready')}: {ready.get('message', '')}"
