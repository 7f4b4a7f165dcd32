"""What a driver's pod says of itself, as the API shows it."""

from __future__ import annotations

from typing import Any

import pytest

from bigdata.spark.driver.pods import read
from bigdata.spark.runtime import Phase

NAME = "spark-kubernetes-driver"


def pod(phase: str, state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    own = [{"name": "sidecar", "state": {"running": {}}}, {"name": NAME, "image": "x:1", "state": state or {}}]
    return {"status": {"phase": phase, "containerStatuses": own, **status}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("found", "phase", "raw", "message"),
    [
        ({}, Phase.PENDING, "Pending", ""),
        (pod("Pending", waiting("ContainerCreating")), Phase.PENDING, "Pending", ""),
        (
            pod("Pending", waiting("ImagePullBackOff", "Back-off pulling")),
            Phase.PENDING,
            "Pending",
            "the image x:1 cannot be pulled: Back-off pulling",
        ),
        (
            pod(
                "Pending",
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1"}],
            ),
            Phase.PENDING,
            "Pending",
            "no node can take the pod: 0/1",
        ),
        (
            pod("Pending", initContainerStatuses=[{"name": "fetch", "state": ended(2, message="no route")}]),
            Phase.PENDING,
            "Pending",
            "init container fetch ended with exit code 2: no route",
        ),
        (pod("Running", {"running": {}}), Phase.RUNNING, "Running", ""),
        (pod("Unknown"), Phase.RUNNING, "Unknown", ""),
        (pod("SomethingNew"), Phase.RUNNING, "SomethingNew", ""),
        (pod("Succeeded", ended(0, "Completed")), Phase.SUCCEEDED, "Completed", ""),
        (pod("Failed", ended(1)), Phase.FAILED, "Error", ""),
        (
            pod("Failed", ended(137, "OOMKilled")),
            Phase.FAILED,
            "OOMKilled",
            "the container used more memory than its limit (raise memory or memoryOverhead)",
        ),
        (
            pod("Failed", reason="Evicted", message="The node was low on resource: memory."),
            Phase.FAILED,
            "Failed",
            "the node evicted the pod: The node was low on resource: memory.",
        ),
        # A sidecar that runs on, or that failed, does not count.
        (pod("Running", ended(0, "Completed")), Phase.SUCCEEDED, "Completed", ""),
        (pod("Running", ended(3)), Phase.FAILED, "Error", ""),
        (pod("Failed", ended(0, "Completed")), Phase.SUCCEEDED, "Completed", ""),
    ],
)
def test_phase_and_message(found: dict[str, Any], phase: Phase, raw: str, message: str) -> None:
    state = read(found, NAME)
    assert (state.phase, state.raw, state.message) == (phase, raw, message)


def test_what_cannot_heal() -> None:
    assert read(pod("Pending", waiting("InvalidImageName")), NAME).is_hopeless
    assert not read(pod("Pending", waiting("ErrImagePull")), NAME).is_hopeless


def test_a_log_is_there_once_the_container_runs() -> None:
    assert not read(pod("Pending", waiting("PodInitializing")), NAME).has_log
    assert read(pod("Running", {"running": {}}), NAME).has_log
    state = read(pod("Failed", ended(3)), NAME)
    assert (state.has_log, state.exit_code) == (True, 3)
