"""What every runtime has in common: submit an application, observe its states, cancel it.

A runtime's own many states are mapped to five; the raw one is kept for the log. ``observe`` ends with a terminal
state, which carries the outcome. It streams the driver's log to the callable that the runtime was made with, in the
caller's thread. What the driver's lines tell of a failure does not depend on their being shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from bigdata.errors import ApplicationFailed, ApplicationGone
from bigdata.spark.manifest.application import Application

LogLine = Callable[[str], None]


class Phase(StrEnum):
    """The states that all runtimes share."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    GONE = "GONE"

    @property
    def is_terminal(self) -> bool:
        """Whether no other state follows."""
        return self not in (Phase.PENDING, Phase.RUNNING)


@dataclass(frozen=True)
class Outcome:
    """How an application ended.

    :param raw: the end as the runtime names it, such as ``exit code 1`` or a pod's phase.
    :param exit_code: the driver's; None when it has none, as after a cancel.
    :param reason: one line; empty after a success.
    :param last_lines: the end of the driver's log, or the exception's last lines.
    :param application_id: Spark's own, such as ``local-1795246907144``; empty if Spark did not come that far.
    :param event_log: where the history server finds it; empty if there is none.
    :param seconds: how long each phase lasted; on a cluster, each state of the operator.
    :param driver_pod: its name, on a cluster.
    :param executors: how many there were by their last state, on a cluster.
    """

    phase: Phase
    raw: str
    exit_code: int | None = None
    reason: str = ""
    last_lines: tuple[str, ...] = ()
    application_id: str = ""
    ui_url: str = ""
    event_log: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    driver_pod: str = ""
    executors: Mapping[str, int] = field(default_factory=dict)

    def check(self, name: str) -> None:
        """Return after a success.

        :raises ApplicationFailed: it failed.
        :raises ApplicationGone: it was cancelled, or vanished.
        """
        if self.phase == Phase.GONE:
            raise ApplicationGone(f"{name} is gone: {self.reason or self.raw}")
        if self.phase != Phase.SUCCEEDED:
            raise ApplicationFailed(name, self.raw, self.reason, self.last_lines)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can have it, for an XCom; without the log's lines."""
        on_cluster = {"driver_pod": self.driver_pod, "executors": dict(self.executors)} if self.driver_pod else {}
        return on_cluster | {
            "state": self.phase.value,
            "exit_code": self.exit_code,
            "reason": self.reason,
            "application_id": self.application_id,
            "event_log": self.event_log,
            "seconds": {key: round(value, 3) for key, value in self.seconds.items()},
        }


@dataclass(frozen=True)
class State:
    """A phase that an application has come to.

    :param raw: the runtime's own name of it.
    :param message: what there is to say, such as why it is still pending.
    :param outcome: of a terminal phase.
    """

    phase: Phase
    raw: str
    message: str = ""
    outcome: Outcome | None = None


def left() -> State:
    """The end of ``observe`` for an application that was left to run on."""
    why = "this task waits for it no longer, and it was left to run on"
    return State(Phase.GONE, "left", why, Outcome(Phase.GONE, "left", reason=why))


class Handle(Protocol):
    """A submitted application."""

    @property
    def name(self) -> str:
        """The application's name."""


H = TypeVar("H", bound=Handle)


class Runtime(Protocol[H]):
    """Runs applications somewhere."""

    def submit(self, application: Application) -> H:
        """Start an application.

        :returns: a handle for the other two.
        :raises SubmitError: it cannot be started, and nothing of it runs.
        """

    def observe(self, handle: H) -> Iterator[State]:
        """Follow an application until it ends; each state is yielded once, when it is reached."""

    def cancel(self, handle: H) -> None:
        """End an application and everything it started; harmless when it has ended already, or has been left."""

    def leave(self, handle: H) -> None:
        """Let an application run on, and end ``observe``; one that cannot do without this process is cancelled."""


def run(
    runtime: Runtime[H], application: Application, on_state: Callable[[State], None] = lambda state: None
) -> Outcome:
    """Submit, observe to the end, and cancel if the caller is interrupted by any exception.

    :raises SubmitError: it cannot be started.
    """
    with submitted(runtime, application) as handle:
        for state in runtime.observe(handle):
            on_state(state)
            if state.outcome:
                return state.outcome
    raise AssertionError("a runtime's states end with an outcome")


@contextmanager
def submitted(runtime: Runtime[H], application: Application) -> Iterator[H]:
    """Submit an application; it does not outlive the ``with`` block."""
    with kept(runtime, runtime.submit(application)) as handle:
        yield handle


@contextmanager
def kept(runtime: Runtime[H], handle: H) -> Iterator[H]:
    """See to it that a submitted application does not outlive the ``with`` block."""
    try:
        yield handle
    finally:
        runtime.cancel(handle)
