"""The local runtime: a SparkApplication as a spark-submit on this machine.

Delivery: ``submit`` returns when the guard (:mod:`bigdata.spark.guard`) has its order. From then on Spark runs as
long as this process wants it and is alive: ``cancel``, an exception that makes the caller cancel, or the death of
this process end the whole tree of processes, and remove the run's folder. A run that ended leaves its event log and
nothing else. Nothing is resumed: a retry is a new run.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bigdata.errors import SubmitError
from bigdata.spark import command, conf, failure, guard
from bigdata.spark.application import Application
from bigdata.spark.command import LocalSettings, Plan
from bigdata.spark.output import Lines, Telltale
from bigdata.spark.runtime import LogLine, Outcome, Phase, State

_TICK = 1.0
_AFTERGLOW = 2.0
# Beyond the grace, for SIGKILL and for removing the run's folder.
_GUARD_SECONDS = 20.0


@dataclass
class LocalHandle:
    """A run on this machine."""

    name: str
    plan: Plan
    process: subprocess.Popen[bytes]
    started: float
    cancelled: bool = False
    telltale: Telltale = field(default_factory=Telltale)


class LocalRuntime:
    """Runs applications as child processes.

    :param log: gets each line of the driver's output, without its secrets.
    :param on_ui: gets the Spark UI's URL as soon as it answers.
    :param grace: seconds that a cancelled driver gets to stop by itself.
    """

    def __init__(
        self,
        settings: LocalSettings,
        log: LogLine,
        on_ui: Callable[[str], None] = lambda url: None,
        grace: float = 10.0,
    ) -> None:
        self.settings, self._log, self._on_ui, self._grace = settings, log, on_ui, grace

    def submit(self, application: Application) -> LocalHandle:
        """Start an application.

        :raises SubmitError: a file, a secret or spark-submit itself is not there.
        """
        runs = self.settings.runs_dir
        runs.mkdir(parents=True, exist_ok=True)
        guard.sweep(runs)
        run_dir = Path(tempfile.mkdtemp(prefix=f"{application.name[:30]}-", dir=runs))
        try:
            plan = command.plan(application, self.settings, run_dir, _free_port())
            _write(plan)
            process = self._start(plan)
        except BaseException:
            guard.remove(run_dir)
            raise
        if plan.not_applied:
            self._log(f"Not applied on this machine: {', '.join(plan.not_applied)}")
        return LocalHandle(application.name, plan, process, time.monotonic())

    def observe(self, handle: LocalHandle) -> Iterator[State]:
        """Follow a run to its end, streaming its log meanwhile."""
        told, since = Phase.PENDING, handle.started
        seconds: dict[str, float] = {}
        seen = handle.telltale
        yield State(Phase.PENDING, "starting")
        url = ""
        for line in self._lines(handle):
            if line is not None:
                seen.see(line)
                self._log(line)
            if not url and (url := _ui_url(handle, line is None)):
                self._on_ui(url)
            if told == Phase.PENDING and (seen.is_running or url):
                now = time.monotonic()
                seconds[told] = now - since
                told, since = Phase.RUNNING, now
                yield State(Phase.RUNNING, "running")
        seconds[told] = time.monotonic() - since
        outcome = self._outcome(handle, url, seconds)
        yield State(outcome.phase, outcome.raw, outcome.reason, outcome)

    def cancel(self, handle: LocalHandle) -> None:
        """End a run and everything it started; returns when all of it is gone."""
        process = handle.process
        if process.poll() is None:
            handle.cancelled = True
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        _drain(process, time.monotonic() + self._grace + _GUARD_SECONDS)
        if process.poll() is None:
            process.kill()
        process.wait()
        self._clear(handle)

    def _start(self, plan: Plan) -> subprocess.Popen[bytes]:
        order = {"argv": plan.argv, "env": dict(plan.environment), "cwd": str(plan.working_dir), "grace": self._grace}
        process = subprocess.Popen(
            guard.command(plan.run_dir),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            said = process.communicate()[0].decode("utf-8", "replace").strip()
            raise SubmitError(f"the guard of spark-submit could not start: {said}") from None
        return process

    def _lines(self, handle: LocalHandle) -> Iterator[str | None]:
        """Yield the lines of the output, and None when there was none for a while."""
        stdout = handle.process.stdout
        assert stdout is not None
        lines = Lines(handle.plan.redacted)
        descriptor = stdout.fileno()
        ended_at = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                if selector.select(_TICK):
                    data = os.read(descriptor, 65536)
                    if not data:
                        break
                    yield from lines.feed(data)
                else:
                    yield None
                # Something that got away from the guard may hold the pipe open for ever.
                if handle.process.poll() is not None:
                    ended_at = ended_at or time.monotonic()
                    if time.monotonic() - ended_at > _AFTERGLOW:
                        break
        yield from lines.finish()
        handle.process.wait()

    def _outcome(self, handle: LocalHandle, url: str, seconds: dict[str, float]) -> Outcome:
        code, seen = handle.process.returncode, handle.telltale
        code = 128 - code if code < 0 else code
        self._clear(handle)
        known = Outcome(
            Phase.SUCCEEDED,
            f"exit code {code}",
            code,
            application_id=seen.application_id,
            ui_url=url,
            event_log=seen.event_log,
            seconds=seconds,
        )
        if handle.cancelled:
            return replace(known, phase=Phase.GONE, raw="cancelled", exit_code=None, reason="it was cancelled")
        if code == 0:
            return known
        why = failure.explain(list(seen.tail), code)
        return replace(known, phase=Phase.FAILED, reason=why.reason, last_lines=why.lines)

    def _clear(self, handle: LocalHandle) -> None:
        """Do the guard's last work if the guard could not."""
        run_dir = handle.plan.run_dir
        if run_dir.exists():
            guard.end(str(run_dir), self._grace)
            guard.remove(run_dir)


def _write(plan: Plan) -> None:
    for folder in plan.folders:
        folder.mkdir(parents=True, exist_ok=True)
    with os.fdopen(
        os.open(plan.properties_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(conf.render(plan.properties))


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((conf.LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _drain(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Wait for the end, and read on meanwhile: a driver whose output nobody reads cannot stop by itself."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector, suppress(OSError, ValueError):
        selector.register(process.stdout.fileno(), selectors.EVENT_READ)
        while process.poll() is None and time.monotonic() < deadline:
            if selector.select(0.2) and not os.read(process.stdout.fileno(), 65536):
                break
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
