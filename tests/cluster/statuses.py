"""Resources that no operator acts on: a test says what one would say of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bigdata.kubernetes.resources import Resources


def say(resources: Resources, name: str, status: dict[str, Any]) -> None:
    """Merge into an object's status."""
    resources._api.patch_namespaced_custom_object_status(
        *resources._where, name, {"status": status}, _content_type="application/merge-patch+json"
    )


def set_state(applications: Resources, name: str, state: str) -> None:
    """A SparkApplication's state."""
    say(applications, name, {"applicationState": {"state": state}, "driverInfo": {}})


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    """A condition as Strimzi's operators set it."""
    since = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    more = {"reason": reason, "message": message} if reason else {}
    return {"type": kind, "status": status, **since, **more}


@contextmanager
def emptied(resources: Resources) -> Iterator[Resources]:
    """Resources of one test, which are gone at its end."""
    yield resources
    for item in resources.select(""):
        resources.delete(item["metadata"]["name"])
