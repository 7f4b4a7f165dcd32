"""One service being started: its ports, its process, and the wait until it answers.

The record is written right after the process exists. A crash between the two leaves a process that only its mark
tells, and ``up`` and ``down`` look for that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

import psutil

from bigdata.errors import StackError
from bigdata.local import ports, process, record
from bigdata.local.java import Java
from bigdata.local.logs import last_lines
from bigdata.local.record import Record
from bigdata.local.service import Service, Site

_TRIES = 3
_TAIL_LINES = 15
# A service gets none of the caller's secrets, and nothing that could change its settings.
_PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "TZ",
    "JAVA_HOME",
    "JAVA_TOOL_OPTIONS",
)


class Launch:
    """Start one service; call :meth:`poll` until it says True.

    :param configured_port: the port it must have; 0: the one of last time if free, else any.
    :param taken: ports that other services of the stack have.
    :param timeout: seconds it gets until it must answer.
    """

    def __init__(
        self,
        service: Service,
        state_dir: Path,
        project_dir: Path,
        java: Java,
        class_path: str,
        configured_port: int,
        taken: Collection[int],
        timeout: float,
    ) -> None:
        self.service, self.state_dir, self.project_dir = service, state_dir, project_dir
        self.java, self.class_path = java, class_path
        self.configured_port, self.taken, self.timeout = configured_port, set(taken), timeout
        self.log = log_path(state_dir, service.name)
        self._tries = 0
        self._start()

    @property
    def record(self) -> Record:
        """What was written down last."""
        return self._record

    def poll(self) -> bool:
        """Whether the service answers by now.

        :raises StackError: with the end of its log, when it ended or did not answer in time.
        """
        code = self._process.poll()
        if code is not None:
            return self._ended(code)
        # Short, as other services wait for their turn.
        if self.service.answers(self._record.port, timeout=1.0) and self._listens():
            return True
        if time.monotonic() > self._deadline:
            self.abandon()
            raise self._failure(f"did not answer on port {self._record.port} within {self.timeout:.0f} s")
        return False

    def abandon(self) -> None:
        """End what was started."""
        process.stop([self._process], grace=5.0)
        record.save(record_path(self.state_dir, self.service.name), self._record.stopped())

    def _start(self) -> None:
        self._tries += 1
        name = self.service.name
        before = record.load(record_path(self.state_dir, name))
        port = self._choose(before.port)
        inner = self._choose_inner(before.inner_port, port)
        site = Site(self.state_dir, self.project_dir, name, port, inner, self.class_path, self.java)
        self.service.prepare(site)
        word = mark(self.state_dir, name)
        env = {key: os.environ[key] for key in _PASSED_ON if key in os.environ} | self.service.environment(site)
        env[process.MARK_VARIABLE] = word
        self._process = process.spawn(self.service.command(site, word), self.log, env, cwd=site.data.parent)
        self._record = Record(
            port, inner, self.service.version, self._process.pid, self._process.create_time(), time.time()
        )
        record.save(record_path(self.state_dir, name), self._record)
        self._deadline = time.monotonic() + self.timeout

    def _listens(self) -> bool:
        """Whether it is our process, or a child of it, that has the port, not one that took it a moment before."""
        try:
            family = process.with_descendants([self._process])
            return any(
                link.laddr.port == self._record.port for member in family for link in member.net_connections("tcp")
            )
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True

    def _choose(self, last: int) -> int:
        if port := self.configured_port:
            if port in self.taken or not ports.is_free(port):
                who = ports.holder(port)
                hint = f"End it, or set [bigdata] {self.service.name}_port to another port (0: any free one)"
                raise StackError(self.service.name, f"the configured port {port} is taken by {who}", hint)
            return port
        if last and last not in self.taken and ports.is_free(last):
            return last
        return ports.free_port(self.service.first_port, self.taken)

    def _choose_inner(self, last: int, port: int) -> int:
        if not self.service.needs_inner_port:
            return 0
        taken = self.taken | {port}
        return last if last and last not in taken and ports.is_free(last) else ports.free_port(port + 1, taken)

    def _ended(self, code: int) -> bool:
        record.save(record_path(self.state_dir, self.service.name), self._record.stopped())
        # Between choosing a port and listening on it somebody else may have taken it.
        lost = [port for port in (self._record.port, self._record.inner_port) if port and not ports.is_free(port)]
        if lost and self._tries < _TRIES:
            self._start()
            return False
        raise self._failure(f"ended with code {code} while starting")

    def _failure(self, what: str) -> StackError:
        tail = "".join(f"\n    {line}" for line in last_lines(self.log, _TAIL_LINES))
        return StackError(self.service.name, f"{what}; the end of its log {self.log}:{tail or ' empty'}")


def log_path(state_dir: Path, name: str) -> Path:
    """A service's log."""
    return state_dir / "log" / f"{name}.log"


def record_path(state_dir: Path, name: str) -> Path:
    """A service's record."""
    return state_dir / "stack" / f"{name}.json"


def mark(state_dir: Path, name: str) -> str:
    """The word on a process's command line that says whose it is."""
    return f"-Dbigdata.stack={state_dir / name}"
