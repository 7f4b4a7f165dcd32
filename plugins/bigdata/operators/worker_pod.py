"""What a task's own worker gets under the KubernetesExecutor; without effect under others.

This is about the pod that Airflow's task runs in. What a Spark job gets is in its manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bigdata.errors import ConfigError

if TYPE_CHECKING:
    from kubernetes.client import V1Pod

# Airflow's name of it, in every worker's pod.
_CONTAINER = "base"


def worker_pod(
    *, cpu: str = "", memory: str = "", cpu_limit: str = "", node_selector: Mapping[str, str] | None = None
) -> dict[str, V1Pod]:
    """The ``executor_config`` of a task that needs more than the chart's ``workers.kubernetes.resources``.

    ::

        @task(executor_config=worker_pod(memory="4Gi"))

    :param cpu: request, such as ``500m`` or ``2``.
    :param memory: request and limit, such as ``2Gi``: a worker that takes more is killed, and not its neighbours.
    :param cpu_limit: none by default, as a limit slows the start of each task.
    :param node_selector: labels of the nodes that may have it.
    :return: empty in the worker itself, which needs it no more.
    :raises ConfigError: a quantity is none, is not positive, or the limit is below the request.
    """
    from airflow.sdk import get_parsing_context

    if get_parsing_context().task_id:  # a worker is there already, and this import would be most of its start
        return {}

    from kubernetes.client import V1Container, V1ObjectMeta, V1Pod, V1PodSpec, V1ResourceRequirements

    given = {"cpu": cpu, "memory": memory, "cpu_limit": cpu_limit}
    sizes = {name: _quantity(name, text) for name, text in given.items() if text}
    if "cpu_limit" in sizes and sizes["cpu_limit"] < sizes.get("cpu", 0):
        raise ConfigError(f"worker_pod(cpu={cpu!r}, cpu_limit={cpu_limit!r}): the limit is below the request")
    requests = {name: text for name, text in (("cpu", cpu), ("memory", memory)) if text}
    limits = {name: text for name, text in (("cpu", cpu_limit), ("memory", memory)) if text}
    resources = V1ResourceRequirements(requests=requests or None, limits=limits or None)
    container = V1Container(name=_CONTAINER, resources=resources if requests or limits else None)
    spec = V1PodSpec(containers=[container], node_selector=dict(node_selector or {}) or None)
    # The executor asks it for a namespace.
    return {"pod_override": V1Pod(metadata=V1ObjectMeta(), spec=spec)}


def _quantity(name: str, text: str) -> Any:
    from kubernetes.utils.quantity import parse_quantity

    try:
        size = parse_quantity(text)
    except ValueError:
        size = 0
    if size <= 0 or " " in text:  # which Python's numbers may have around them
        raise ConfigError(f"worker_pod({name}={text!r}): must be a Kubernetes quantity such as 500m or 2Gi")
    return size
