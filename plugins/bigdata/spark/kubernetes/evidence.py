"""What the cluster knows of why an application failed: warnings about its pods, and how its executors ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.errors import told
from bigdata.spark.driver import pod_template, pods
from bigdata.spark.kubernetes import states

log = logging.getLogger(__name__)

_SECONDS = (10, 30)
_MOST = 20
# What Kubernetes tries again until it works, and warns of in many a run that is fine.
_BEFORE_START = ("FailedMount", "FailedAttachVolume", "FailedScheduling", "FailedCreatePodSandBox")


def gather(core: Any, application: Mapping[str, Any], lost: Mapping[str, str]) -> list[str]:
    """Lines for the log, the executors' first; what the API server does not show is left out.

    :param core: a kubernetes ``CoreV1Api``.
    :param lost: reasons by executor's number, as the driver's log has them.
    """
    found = [f"Executor {number} was lost: {reason}" for number, reason in lost.items()]
    for source in (_executors, _warnings):
        try:
            found += source(core, application)
        except ClusterError as error:
            log.info("%s", error)
    return found[:_MOST]


def _executors(core: Any, application: Mapping[str, Any]) -> Iterator[str]:
    """Those whose pods are still there; Spark deletes them with the driver, unless told otherwise."""
    metadata = application["metadata"]
    selector = f"sparkoperator.k8s.io/app-name={metadata['name']},spark-role=executor"
    with told(f"pods in {metadata['namespace']}"):
        found = core.list_namespaced_pod(metadata["namespace"], label_selector=selector, _request_timeout=_SECONDS)
    for pod in found.items:
        state = pods.read(core.api_client.sanitize_for_serialization(pod), pod_template.CONTAINERS["executor"])
        if state.message:
            yield f"Executor pod {pod.metadata.name}: {state.raw}: {state.message}"


def _warnings(core: Any, application: Mapping[str, Any]) -> Iterator[str]:
    namespace = application["metadata"]["namespace"]
    with told(f"events in {namespace}"):
        found = core.list_namespaced_event(
            namespace, field_selector="type=Warning,involvedObject.kind=Pod", _request_timeout=_SECONDS
        )
    started = _pods(application)
    for event in found.items:
        name = event.involved_object.name
        if name in started and not (started[name] and event.reason in _BEFORE_START):
            times = f" ({event.count} times)" if (event.count or 1) > 1 else ""
            message = " ".join((event.message or "").split())
            yield f"Event of pod {name}: {event.reason}{times}: {message}"


def _pods(application: Mapping[str, Any]) -> dict[str, bool]:
    """The application's pods, and whether each has started."""
    executors = (application.get("status") or {}).get("executorState") or {}
    found = {name: state != "PENDING" for name, state in executors.items()}
    # A driver that has executors has started.
    return found | {states.driver_pod(application): bool(executors)}
