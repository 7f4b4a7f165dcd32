"""What all runtimes share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bigdata.errors import ApplicationFailed, ApplicationGone
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load
from bigdata.spark.runtime import Outcome, Phase, State, run

PI = load(Path(__file__).parents[3] / "spark_jobs" / "spark_pi.yaml")


@dataclass
class Paper:
    """A runtime that does nothing but keep a diary."""

    diary: list[str] = field(default_factory=list)

    def submit(self, application: Application) -> Application:
        self.diary.append(f"submit {application.name}")
        return application

    def observe(self, handle: Application) -> Iterator[State]:
        yield State(Phase.PENDING, "starting")
        yield State(Phase.SUCCEEDED, "done", outcome=Outcome(Phase.SUCCEEDED, "done", 0, seconds={"RUNNING": 1.23456}))

    def cancel(self, handle: Application) -> None:
        self.diary.append("cancel")


def test_only_three_phases_are_ends() -> None:
    assert [phase for phase in Phase if phase.is_terminal] == [Phase.SUCCEEDED, Phase.FAILED, Phase.GONE]


def test_run_follows_to_the_end() -> None:
    runtime, states = Paper(), list[str]()
    outcome = run(runtime, PI, lambda state: states.append(state.raw))
    assert (states, outcome.exit_code) == (["starting", "done"], 0)
    assert outcome.to_dict()["seconds"] == {"RUNNING": 1.235}
    assert runtime.diary == ["submit spark-pi", "cancel"]


def test_an_interrupted_caller_leaves_nothing_running() -> None:
    def interrupt(state: State) -> None:
        raise KeyboardInterrupt

    runtime = Paper()
    with pytest.raises(KeyboardInterrupt):
        run(runtime, PI, interrupt)
    assert runtime.diary == ["submit spark-pi", "cancel"]


def test_an_outcome_becomes_an_error() -> None:
    Outcome(Phase.SUCCEEDED, "exit code 0", 0).check("x")
    with pytest.raises(ApplicationFailed, match="x ended as exit code 3: boom\n    line"):
        Outcome(Phase.FAILED, "exit code 3", 3, "boom", ("line",)).check("x")
    with pytest.raises(ApplicationGone, match="x is gone: deleted"):
        Outcome(Phase.GONE, "deleted").check("x")
