"""The Spark operator's states of an application, and what each means for somebody who waits.

Only COMPLETED and FAILED end an application. SUBMISSION_FAILED, FAILING and SUCCEEDING do not: the operator goes on
from each by itself, to another run (restartPolicy) or to one of the two ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bigdata.spark.runtime import Phase

# As of operator 2.5.2, api/v1beta2: the empty state is "New".
STATES: dict[str, Phase] = {
    "": Phase.PENDING,
    "SUBMITTED": Phase.PENDING,
    "SUBMISSION_FAILED": Phase.PENDING,
    "PENDING_RERUN": Phase.PENDING,
    "INVALIDATING": Phase.PENDING,
    "SUSPENDING": Phase.PENDING,
    "SUSPENDED": Phase.PENDING,
    "RESUMING": Phase.PENDING,
    "RUNNING": Phase.RUNNING,
    "SUCCEEDING": Phase.RUNNING,
    "FAILING": Phase.RUNNING,
    "UNKNOWN": Phase.RUNNING,  # the driver's node does not answer; it may come back
    "COMPLETED": Phase.SUCCEEDED,
    "FAILED": Phase.FAILED,
}

# A submission may be under way; the operator begins another, and fails by it, if the resource is changed meanwhile by
# anybody: https://github.com/kubeflow/spark-operator/issues/2573
_UNTOUCHABLE = ("", "SUBMISSION_FAILED", "PENDING_RERUN", "RESUMING")

# What only an application whose driver has run comes to.
_AFTER_START = ("PENDING_RERUN",)


def raw_state(application: Mapping[str, Any]) -> str:
    """The operator's own word; empty before it has looked at the application."""
    state = (application.get("status") or {}).get("applicationState") or {}
    return str(state.get("state") or "")


def phase(raw: str) -> Phase:
    """What a state means; one that nobody has heard of is waited on."""
    return STATES.get(raw, Phase.RUNNING)


def is_running(application: Mapping[str, Any]) -> bool:
    """Whether its driver runs."""
    return phase(raw_state(application)) == Phase.RUNNING


def has_run(application: Mapping[str, Any]) -> bool:
    """Whether a driver of it runs or has run, in this attempt or an earlier one."""
    status = application.get("status") or {}
    later = raw_state(application) in _AFTER_START or phase(raw_state(application)) != Phase.PENDING
    return bool(later or status.get("executorState") or status.get("terminationTime"))


def may_be_changed(application: Mapping[str, Any]) -> bool:
    """Whether its labels and annotations can be changed without harm."""
    return raw_state(application) not in _UNTOUCHABLE


def message(application: Mapping[str, Any]) -> str:
    """What the operator says of the state; empty if nothing."""
    state = (application.get("status") or {}).get("applicationState") or {}
    return " ".join(str(state.get("errorMessage") or "").split())


def driver_pod(application: Mapping[str, Any]) -> str:
    """The driver pod's name; empty before there is one."""
    return str(((application.get("status") or {}).get("driverInfo") or {}).get("podName") or "")
