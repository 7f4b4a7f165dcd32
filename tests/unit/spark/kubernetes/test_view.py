"""What is made of what is seen of an application of the operator."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration, CoreV1Api

from bigdata.errors import ApplicationFailed
from bigdata.kubernetes.resources import Resources
from bigdata.spark.driver.driver_pods import DriverPods
from bigdata.spark.driver.pods import PodState
from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION, OperatorHandle
from bigdata.spark.kubernetes.view import View
from bigdata.spark.runtime import Outcome, Phase

from ...api_server import api_server


def of(url: str, age: float = 0) -> OperatorHandle:
    client = ApiClient(Configuration(host=url))
    resources = Resources(client, SPARK_APPLICATION, "jobs", patience=0)
    return OperatorHandle("etl", "uid", resources, DriverPods(CoreV1Api(client), "jobs"), time.time() - age)


@pytest.fixture
def handle() -> OperatorHandle:
    """Of an application on a cluster that does not answer."""
    return of("http://127.0.0.1:1")


def seen(state: str, message: str = "", pod: str = "etl-driver") -> dict[str, Any]:
    status = {"applicationState": {"state": state, "errorMessage": message}, "driverInfo": {"podName": pod}}
    return {
        "metadata": {"name": "etl", "uid": "uid", "namespace": "jobs", "creationTimestamp": "2026-11-21T08:00:00Z"},
        "status": status,
    }


def end(view: View, *events: Any) -> Outcome:
    """The outcome after these events, the last of which ends it."""
    *before, last = [view.take(event) for event in events]
    assert not [state for state in before if state and state.outcome]
    assert last is not None
    assert last.outcome is not None
    return view.outcome(last.outcome)


def test_a_failure_of_a_driver_that_ended_well_is_told_in_plain_words(handle: OperatorHandle) -> None:
    done = PodState(Phase.SUCCEEDED, "Completed", has_log=True, exit_code=0)
    outcome = end(View(handle, 600), seen("RUNNING"), done, seen("FAILED", "driver pod not found"))
    assert (outcome.phase, outcome.exit_code) == (Phase.FAILED, 0)
    with pytest.raises(ApplicationFailed, match=r"ended with exit code 0.*issue 2755.*says: driver pod not found"):
        outcome.check("etl")


def test_lines_of_its_log_do_not_change_that(handle: OperatorHandle) -> None:
    view = View(handle, 600)
    view.seen.see("ValueError: caught and told, and gone on from")
    done = PodState(Phase.SUCCEEDED, "Completed", has_log=True, exit_code=0)
    assert "exit code 0" in end(view, seen("RUNNING"), done, seen("FAILED")).reason


def test_a_driver_that_failed_is_not_excused(handle: OperatorHandle) -> None:
    failed = PodState(Phase.FAILED, "Error", has_log=True, exit_code=1)
    assert end(View(handle, 600), seen("RUNNING"), failed, seen("FAILED", "ExitCode: 1")).reason == "ExitCode: 1"


def test_a_change_of_state_or_of_the_drivers_pod_is_told_once(handle: OperatorHandle) -> None:
    told: list[dict[str, Any]] = []
    view = View(handle, 600, told.append)
    first, again, pod, other = seen("SUBMITTED", pod=""), seen("SUBMITTED", pod=""), seen("SUBMITTED"), seen("RUNNING")
    for event in (first, again, pod, pod, other, other):
        view.take(event)
    assert told == [first, pod, other]


def test_nobody_is_late_as_long_as_the_api_server_does_not_answer() -> None:
    view = View(of("http://127.0.0.1:1", age=700), 600)
    assert view.take(seen("", pod="")) is not None
    assert view.take(None) is None


@pytest.mark.parametrize(
    ("now", "phase", "is_end"),
    [
        (seen("RUNNING"), Phase.RUNNING, False),
        (seen("COMPLETED"), Phase.SUCCEEDED, True),
        (seen("", pod=""), Phase.FAILED, True),
        ({"metadata": {"uid": "another"}}, Phase.GONE, True),
    ],
    ids=["it runs by now", "it has ended by now", "it does not", "it is another"],
)
def test_who_seems_late_is_looked_at_once_more(now: dict[str, Any], phase: Phase, is_end: bool) -> None:
    with api_server(lambda *asked: (200, now)) as url:
        view = View(of(url, age=700), 600)
        state = view.take(seen("", pod=""))
        state = view.take(None) if state and state.phase == Phase.PENDING and not state.outcome else state
    assert state is not None
    assert (state.phase, bool(state.outcome)) == (phase, is_end)
