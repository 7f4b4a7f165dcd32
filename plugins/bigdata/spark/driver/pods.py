"""What a driver's pod says of itself, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bigdata.spark.runtime import Phase

_PHASES = {
    "Pending": Phase.PENDING,
    "Running": Phase.RUNNING,
    "Succeeded": Phase.SUCCEEDED,
    "Failed": Phase.FAILED,
    # The node does not answer; the pod may come back.
    "Unknown": Phase.RUNNING,
}
_PLAIN = {
    "ErrImagePull": "the image {image} cannot be pulled",
    "ImagePullBackOff": "the image {image} cannot be pulled",
    "ErrImageNeverPull": "the image {image} is not on the node, and imagePullPolicy is Never",
    "InvalidImageName": "{image} is no valid name of an image",
    "CreateContainerConfigError": "the container cannot be configured",
    "CreateContainerError": "the container cannot be created",
    "RunContainerError": "the container cannot be started",
    "OOMKilled": "the container used more memory than its limit (raise memory or memoryOverhead)",
    "Evicted": "the node evicted the pod",
}
# Nothing heals these, so that waiting for the start-up timeout is no use.
_HOPELESS = ("InvalidImageName", "ErrImageNeverPull")
_QUIET = ("", "ContainerCreating", "PodInitializing", "Completed", "Error")


@dataclass(frozen=True)
class PodState:
    """A pod at one moment.

    :param raw: the pod's phase; how its container ended, if it has.
    :param message: why it is not running yet, or why it failed; empty if there is nothing to say.
    :param is_hopeless: it cannot ever start.
    :param has_log: its container runs or has run.
    :param exit_code: of its container, if that has ended.
    """

    phase: Phase
    raw: str
    message: str = ""
    is_hopeless: bool = False
    has_log: bool = False
    exit_code: int | None = None


def read(pod: Mapping[str, Any], container: str) -> PodState:
    """Read a pod.

    :param pod: as the API gives it, as plain data.
    :param container: the one that counts; sidecars may run on or fail.
    """
    status = pod.get("status") or {}
    raw = status.get("phase") or "Pending"
    own: Mapping[str, Any] = next(
        (item for item in status.get("containerStatuses") or [] if item.get("name") == container), {}
    )
    state = own.get("state") or {}
    ended, waiting = state.get("terminated"), state.get("waiting") or {}
    phase = _PHASES.get(raw, Phase.RUNNING)
    if ended and phase == Phase.RUNNING:
        # A sidecar keeps the pod running; the application has ended all the same.
        phase = Phase.SUCCEEDED if ended.get("exitCode") == 0 else Phase.FAILED
    if ended and phase == Phase.FAILED and ended.get("exitCode") == 0:
        phase = Phase.SUCCEEDED
    reasons = [*_reasons(status, own), *_init_reasons(status)]
    return PodState(
        phase=phase,
        raw=(ended.get("reason") or raw) if ended else raw,
        message="; ".join(dict.fromkeys(_plain(*reason, own.get("image", "")) for reason in reasons)),
        is_hopeless=phase == Phase.PENDING and waiting.get("reason") in _HOPELESS,
        has_log=ended is not None or state.get("running") is not None,
        exit_code=ended.get("exitCode") if ended else None,
    )


def _reasons(status: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if status.get("reason"):
        yield status["reason"], status.get("message") or ""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield condition.get("reason") or "Unschedulable", condition.get("message") or ""
    for state in (own.get("state") or {}).values():
        if state and state.get("reason", "") not in _QUIET:
            yield state["reason"], state.get("message") or ""


def _init_reasons(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for item in status.get("initContainerStatuses") or []:
        state = item.get("state") or {}
        ended, waiting = state.get("terminated") or {}, state.get("waiting") or {}
        if ended.get("exitCode"):
            yield f"init container {item['name']} ended with exit code {ended['exitCode']}", ended.get("message") or ""
        elif waiting.get("reason", "") not in _QUIET:
            yield f"init container {item['name']}: {waiting['reason']}", waiting.get("message") or ""


def _plain(reason: str, message: str, image: str) -> str:
    words = _PLAIN.get(reason, "no node can take the pod" if reason == "Unschedulable" else reason).format(image=image)
    return f"{words}: {message}" if message else words
