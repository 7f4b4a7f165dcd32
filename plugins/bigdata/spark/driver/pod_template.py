"""Pod templates: the fields of a SparkApplication that spark-submit has no property for, as the operator's webhook
applies them.

Spark merges a template with what it makes itself: image, command, resources, ports of its own and the properties'
labels and variables are added to it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

CONTAINERS = {"driver": "spark-kubernetes-driver", "executor": "spark-kubernetes-executor"}

# Field of the SparkApplication: field of the pod.
_POD_FIELDS = {
    "affinity": "affinity",
    "dnsConfig": "dnsConfig",
    "hostAliases": "hostAliases",
    "hostNetwork": "hostNetwork",
    "initContainers": "initContainers",
    "podSecurityContext": "securityContext",
    "priorityClassName": "priorityClassName",
    "schedulerName": "schedulerName",
    "shareProcessNamespace": "shareProcessNamespace",
    "terminationGracePeriodSeconds": "terminationGracePeriodSeconds",
    "tolerations": "tolerations",
}
_CONTAINER_FIELDS = ("env", "envFrom", "lifecycle", "securityContext")
FIELDS = frozenset((*_POD_FIELDS, *_CONTAINER_FIELDS, "configMaps", "gpu", "nodeSelector", "ports", "sidecars"))
FIELDS |= {"template", "volumeMounts"}


def make(role: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The template of the driver's or the executors' pods.

    :param role: ``driver`` or ``executor``.
    :param spec: the application's spec.
    """
    pod = spec.get(role) or {}
    template: dict[str, Any] = copy.deepcopy(pod.get("template") or {})
    found = template.setdefault("spec", {})
    template |= {"apiVersion": "v1", "kind": "Pod"}
    found |= {there: pod[here] for here, there in _POD_FIELDS.items() if pod.get(here) not in (None, [], {})}
    if pod.get("hostNetwork"):
        found.setdefault("dnsPolicy", "ClusterFirstWithHostNet")
    if selector := {**(spec.get("nodeSelector") or {}), **(pod.get("nodeSelector") or {})}:
        found["nodeSelector"] = {**(found.get("nodeSelector") or {}), **selector}
    container, others = _split(found.get("containers") or [], CONTAINERS[role])
    _fill(container, pod)
    found["containers"] = [container, *others, *(pod.get("sidecars") or [])]
    if volumes := [
        *(found.get("volumes") or []),
        *_volumes(spec, pod, found["containers"], found.get("initContainers")),
    ]:
        found["volumes"] = volumes
    return template


def _split(containers: list[dict[str, Any]], name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Spark's own container of a template, which is the first if none has its name, and the others."""
    own = next((item for item in containers if item.get("name") == name), containers[0] if containers else {})
    return {**own, "name": name}, [item for item in containers if item is not own]


def _fill(container: dict[str, Any], pod: Mapping[str, Any]) -> None:
    for field in _CONTAINER_FIELDS:
        value = pod.get(field)
        if isinstance(value, list):
            container[field] = [*(container.get(field) or []), *value]
        elif value:
            container[field] = value
    mounts = [*(pod.get("volumeMounts") or [])]
    mounts += [{"name": _volume_name(item), "mountPath": item["path"]} for item in pod.get("configMaps") or []]
    if mounts:
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), *mounts]
    if ports := pod.get("ports"):
        # The operator's form of a port has the protocol as a required field; the pod's takes it as it is.
        container["ports"] = [*(container.get("ports") or []), *ports]
    if gpu := pod.get("gpu"):
        limits = container.setdefault("resources", {}).setdefault("limits", {})
        limits[gpu["name"]] = str(gpu["quantity"])


def _volumes(
    spec: Mapping[str, Any], pod: Mapping[str, Any], containers: list[dict[str, Any]], init: list[dict[str, Any]] | None
) -> Iterator[dict[str, Any]]:
    """Those of the application's volumes that a container of this pod mounts, as the operator chooses them."""
    used = {mount["name"] for item in (*containers, *(init or [])) for mount in item.get("volumeMounts") or []}
    yield from (volume for volume in spec.get("volumes") or [] if volume["name"] in used)
    for item in pod.get("configMaps") or []:
        yield {"name": _volume_name(item), "configMap": {"name": item["name"]}}


def _volume_name(config_map: Mapping[str, Any]) -> str:
    return f"{config_map['name']}-vol"[:63].rstrip("-.").replace(".", "-")
