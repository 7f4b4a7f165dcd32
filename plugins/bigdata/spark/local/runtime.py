"""The local runtime: a SparkApplication as a spark-submit on this machine.

Delivery: ``submit`` returns when the guard (:mod:`bigdata.spark.submit.guard`) has its order. From then on Spark runs
as long as this process wants it and is alive: ``cancel``, an exception that makes the caller cancel, or the death of
this process end the whole tree of processes, and remove the run's folder. A run that ended leaves its event log and
nothing else. Nothing is resumed: a retry is a new run.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from bigdata.spark.driver import failure
from bigdata.spark.driver.output import Telltale
from bigdata.spark.local import command
from bigdata.spark.local.command import LocalSettings, Plan
from bigdata.spark.manifest.application import Application
from bigdata.spark.runtime import LogLine, Outcome, Phase, State
from bigdata.spark.submit import conf, guard
from bigdata.spark.submit.child import Child, make_run_dir, write_private


@dataclass
class LocalHandle:
    """A run on this machine."""

    name: str
    plan: Plan
    child: Child
    started: float
    older_events: frozenset[str]
    telltale: Telltale = field(default_factory=Telltale)


class LocalRuntime:
    """Runs applications as child processes.

    :param log: gets what the runtime itself has to say.
    :param on_ui: gets the Spark UI's URL as soon as it answers.
    :param grace: seconds that a cancelled driver gets to stop by itself.
    :param on_line: gets each line of the driver's output, without its secrets; default: ``log``.
    """

    def __init__(
        self,
        settings: LocalSettings,
        log: LogLine,
        on_ui: Callable[[str], None] = lambda url: None,
        grace: float = 10.0,
        on_line: LogLine | None = None,
    ) -> None:
        self.settings, self._log, self._on_ui, self._grace = settings, log, on_ui, grace
        self._on_line = on_line or log

    def submit(self, application: Application) -> LocalHandle:
        """Start an application.

        :raises SubmitError: a file, a secret or spark-submit itself is not there.
        """
        run_dir = make_run_dir(self.settings.runs_dir, application.name)
        try:
            plan = command.plan(application, self.settings, run_dir, _free_port())
            for folder in plan.folders:
                folder.mkdir(parents=True, exist_ok=True)
            older = _events(self.settings)
            write_private(plan.properties_file, conf.render(plan.properties))
            child = Child(plan.argv, plan.environment, plan.working_dir, run_dir, self._grace)
        except BaseException:
            guard.remove(run_dir)
            raise
        if plan.not_applied:
            self._log(f"Not applied on this machine: {', '.join(plan.not_applied)}")
        return LocalHandle(application.name, plan, child, time.monotonic(), older)

    def observe(self, handle: LocalHandle) -> Iterator[State]:
        """Follow a run to its end, streaming its log meanwhile."""
        told, since = Phase.PENDING, handle.started
        seconds: dict[str, float] = {}
        seen = handle.telltale
        yield State(Phase.PENDING, "starting")
        url = ""
        for line in handle.child.lines(handle.plan.redacted):
            if line is not None:
                seen.see(line)
                self._on_line(line)
            if not url and (url := _ui_url(handle, line is None)):
                self._on_ui(url)
            if told == Phase.PENDING and (seen.is_running or url):
                now = time.monotonic()
                seconds[told] = now - since
                told, since = Phase.RUNNING, now
                yield State(Phase.RUNNING, "running")
        seconds[told] = time.monotonic() - since
        if url and not seen.event_log:
            _find_events(handle, self.settings)
        outcome = _outcome(handle, url, seconds)
        yield State(outcome.phase, outcome.raw, outcome.reason, outcome)

    def cancel(self, handle: LocalHandle) -> None:
        """End a run and everything it started; returns when all of it is gone."""
        handle.child.end()

    def leave(self, handle: LocalHandle) -> None:
        """End a run: it cannot do without this process."""
        self._log(f"{handle.name} runs on this machine: it cannot be left, and ends with its task")
        self.cancel(handle)


def _outcome(handle: LocalHandle, url: str, seconds: dict[str, float]) -> Outcome:
    code, seen = handle.child.code, handle.telltale
    known = Outcome(
        Phase.SUCCEEDED,
        f"exit code {code}",
        code,
        application_id=seen.application_id,
        ui_url=url,
        event_log=seen.event_log,
        seconds=seconds,
    )
    if handle.child.ended_by_us:
        return replace(known, phase=Phase.GONE, raw="cancelled", exit_code=None, reason="it was cancelled")
    if code == 0:
        return known
    why = failure.explain(list(seen.tail), code)
    return replace(known, phase=Phase.FAILED, reason=why.reason, last_lines=why.lines)


def _ui_url(handle: LocalHandle, idle: bool) -> str:
    """The UI's URL once it is known: from the log, or, if the log is silent, by trying the port it was told to use."""
    port = handle.telltale.ui_port
    if not port and idle and _answers(handle.plan.ui_port):
        port = handle.plan.ui_port
    return f"http://{conf.LOOPBACK}:{port}" if port else ""


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((conf.LOOPBACK, port), timeout=0.5):
        return True
    return False


def _find_events(handle: LocalHandle, settings: LocalSettings) -> None:
    """Find the event log of a driver with a silent log; of two runs at one time, neither is guessed at."""
    new = list(_events(settings) - handle.older_events)
    if len(new) == 1:
        handle.telltale.event_log = (settings.events_dir / new[0]).as_uri()
        handle.telltale.application_id = new[0].removeprefix("eventlog_v2_").split(".")[0]


def _events(settings: LocalSettings) -> frozenset[str]:
    return frozenset(path.name for path in settings.events_dir.iterdir())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((conf.LOOPBACK, 0))
        return int(probe.getsockname()[1])
