"""Seconds by state, from what is seen and from the operator's own times."""

from __future__ import annotations

from typing import Any

import pytest

from bigdata.spark.kubernetes.durations import Durations


def found(state: str, **status: Any) -> dict[str, Any]:
    """An application created at second 0."""
    return {
        "metadata": {"creationTimestamp": "1970-01-01T00:00:00Z"},
        "status": {"applicationState": {"state": state}, **status},
    }


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    def tell(seconds: float) -> None:
        monkeypatch.setattr("time.time", lambda: seconds)

    return tell


def test_each_state_lasts_until_the_next(clock: Any) -> None:
    durations = Durations()
    seen = []
    for now, state in [
        (1, ""),
        (3, "SUBMITTED"),
        (4, "SUBMITTED"),
        (8, "RUNNING"),
        (20, "SUBMITTED"),
        (21, "COMPLETED"),
    ]:
        clock(now)
        seen.append(durations.see(found(state)))
    assert seen == [True, True, False, True, True, True]
    assert durations.seconds == {"NEW": 3, "SUBMITTED": 6, "RUNNING": 12}


def test_who_begins_late_takes_the_operators_times(clock: Any) -> None:
    durations = Durations()
    clock(60)
    durations.see(found("RUNNING", lastSubmissionAttemptTime="1970-01-01T00:00:02Z", terminationTime=None))
    clock(70)
    durations.see(found("COMPLETED"))
    assert durations.seconds == {"NEW": 2, "RUNNING": 68}


def test_who_comes_after_the_end_knows_how_long_it_took(clock: Any) -> None:
    durations = Durations()
    clock(600)
    times = {"lastSubmissionAttemptTime": "1970-01-01T00:00:02Z", "terminationTime": "1970-01-01T00:00:32Z"}
    durations.see(found("FAILED", **times))
    assert durations.seconds == {"NEW": 2, "RUNNING": 30}


def test_who_goes_on_adds_nothing_for_the_state_that_was_told(clock: Any) -> None:
    durations = Durations({"NEW": 1.0, "RUNNING": 9.0})
    clock(600)
    durations.see(found("COMPLETED", lastSubmissionAttemptTime="1970-01-01T00:00:02Z"))
    assert durations.seconds == {"NEW": 1.0, "RUNNING": 9.0}


def test_a_clock_that_is_behind_makes_nothing_negative(clock: Any) -> None:
    durations = Durations()
    clock(1)
    durations.see(found("RUNNING", lastSubmissionAttemptTime="1970-01-01T00:00:05Z"))
    clock(2)
    durations.see(found("COMPLETED"))
    assert durations.seconds == {"NEW": 5, "RUNNING": 0}
