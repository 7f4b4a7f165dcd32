"""Each state of the operator, and one that it may have some day."""

from __future__ import annotations

import pytest

from bigdata.spark.kubernetes import states
from bigdata.spark.runtime import Phase

# What the CRD's Go types of operator 2.5.2 name, beside the empty one.
KNOWN = [
    "SUBMITTED",
    "RUNNING",
    "COMPLETED",
    "FAILED",
    "SUBMISSION_FAILED",
    "PENDING_RERUN",
    "INVALIDATING",
    "SUCCEEDING",
    "FAILING",
    "UNKNOWN",
    "SUSPENDING",
    "SUSPENDED",
    "RESUMING",
]


def test_every_state_is_known_and_only_two_are_an_end() -> None:
    assert set(states.STATES) == {"", *KNOWN}
    assert {raw for raw in states.STATES if states.phase(raw).is_terminal} == {"COMPLETED", "FAILED"}
    assert states.phase("COMPLETED") == Phase.SUCCEEDED


def test_a_state_that_nobody_has_heard_of_is_waited_on() -> None:
    assert not states.phase("HIBERNATING").is_terminal


@pytest.mark.parametrize("application", [{}, {"status": None}, {"status": {"driverInfo": {}}}])
def test_an_application_that_the_operator_has_not_seen_is_pending(application: dict[str, object]) -> None:
    assert states.phase(states.raw_state(application)) == Phase.PENDING
    assert (states.message(application), states.driver_pod(application)) == ("", "")


def test_what_the_operator_says_becomes_one_line() -> None:
    status = {
        "applicationState": {"state": "FAILED", "errorMessage": "driver\n  failed"},
        "driverInfo": {"podName": "x"},
    }
    assert states.message({"status": status}) == "driver failed"
    assert states.driver_pod({"status": status}) == "x"
