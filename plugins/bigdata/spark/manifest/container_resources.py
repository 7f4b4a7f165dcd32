"""``container_resources`` of a driver or an executor: the form that the provider's SparkKubernetesOperator has for
their size, as the fields of a SparkApplication.

The figures are that operator's: a memory limit is divided by 1.4, as Spark adds an overhead to what it is told. What
fails there works here: less than one CPU, CPUs in ``m``, and memory in ``Mi``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bigdata.errors import ManifestError

_OVERHEAD = 1.4
# m is Spark's MiB there, and not Kubernetes' thousandth.
_MIB = {"m": 1, "mi": 1, "g": 1024, "gi": 1024}
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([mg]i?)", re.IGNORECASE)


def translate(pod: dict[str, Any], source: str, field: str) -> list[str]:
    """Replace the form in a role's fields by what it stands for.

    :param field: where the role is, such as ``spec.driver``.
    :returns: what of it has no counterpart.
    :raises ManifestError: a value that is no size.
    """
    field = f"{field}.container_resources"
    found = pod.pop("container_resources", None) or {}
    if not isinstance(found, Mapping) or not all(isinstance(part or {}, Mapping) for part in found.values()):
        raise ManifestError(source, field, "must be a mapping of cpu, memory and gpu, each a mapping")
    cpu, memory, gpu = (found.get(part) or {} for part in ("cpu", "memory", "gpu"))
    if cpu.get("request"):
        pod |= _cores(cpu["request"])
    if cpu.get("limit"):
        pod["coreLimit"] = str(cpu["limit"])
    if memory.get("limit"):
        pod["memory"] = _memory(memory["limit"], source, f"{field}.memory.limit")
    if gpu.get("name") and gpu.get("quantity"):
        pod["gpu"] = {"name": gpu["name"], "quantity": _count(gpu["quantity"], source, f"{field}.gpu.quantity")}
    # Spark asks for as much memory as it may use.
    return [f"{field}.memory.request"] if memory.get("request") else []


def _cores(request: Any) -> dict[str, Any]:
    try:
        cores = int(float(request))
    except (TypeError, ValueError):
        cores = 0
    return {"cores": cores} if cores >= 1 else {"cores": 1, "coreRequest": str(request)}


def _memory(limit: Any, source: str, field: str) -> str:
    if not (found := _MEMORY.fullmatch(str(limit).strip())):
        raise ManifestError(source, field, f'"{limit}" is no memory size, such as "2Gi" or "512Mi"')
    return f"{int(float(found[1]) * _MIB[found[2].lower()] / _OVERHEAD)}m"


def _count(quantity: Any, source: str, field: str) -> int:
    try:
        return int(float(quantity))
    except (TypeError, ValueError):
        raise ManifestError(source, field, f'"{quantity}" is no number') from None
