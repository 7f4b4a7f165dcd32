"""A small process between a task and its spark-submit, so that Spark never outlives the task, however the task dies.

It is started as a script, in a session of its own, gets one line of JSON on its standard input, and then waits for
whichever comes first:

- spark-submit ends: what it left running is ended, and its exit code becomes the guard's.
- standard input closes, because the task cancels or because it died, even by SIGKILL: the whole tree is ended
  (SIGTERM, the grace period, SIGKILL).
- a SIGTERM, SIGINT or SIGHUP: the same.

At last it removes the run's folder. If the guard itself is killed, the task ends the tree by :func:`end`; if both
are, the next run on this machine does, see :func:`sweep`.

A tree is known by two things that survive the death of a parent: the session, and a variable in the environment.
PySpark's daemon leaves the process group, and a program that makes a session of its own keeps the variable.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "BIGDATA_SPARK_RUN"
CANCELLED = 143
CANNOT_START = 127

_KILL_WAIT = 10.0
_LOOK_AGAIN = 5.0
_YOUNG = 60.0


def members(run_dir: str, session: int | None = None) -> list[psutil.Process]:
    """The processes of a run, but never this one.

    :param session: of the guard, if it is alive; without it only the mark counts, as the number may be another's by
        now.
    """
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _belongs(process, run_dir, session)
    ]


def end(run_dir: str, grace: float, session: int | None = None) -> None:
    """End all processes of a run: SIGTERM, ``grace`` seconds, then SIGKILL, until none is left."""
    deadline = time.monotonic() + grace + _KILL_WAIT
    number = signal.SIGTERM
    while (alive := members(run_dir, session)) and time.monotonic() < deadline:
        for process in alive:
            with suppress(psutil.Error):
                process.send_signal(number)
        psutil.wait_procs(alive, timeout=grace if number == signal.SIGTERM else 1.0)
        number = signal.SIGKILL


def sweep(runs_dir: Path) -> None:
    """Clear up after runs whose task and guard were both killed."""
    folders = [path for path in runs_dir.glob("*") if path.is_dir() and time.time() - path.stat().st_mtime > _YOUNG]
    if not folders:
        return
    guarded = set(_guarded())
    for folder in folders:
        if str(folder) not in guarded:
            end(str(folder), grace=2.0)
            remove(folder)


def remove(run_dir: Path) -> None:
    """Remove a run's folder."""
    shutil.rmtree(run_dir, ignore_errors=True)


def command(run_dir: Path) -> list[str]:
    """The command that starts a guard. -P, as this script's folder is no place to import from."""
    return [sys.executable, "-P", str(Path(__file__).resolve()), str(run_dir)]


def _guarded() -> Iterator[str]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = process.cmdline()
            if (
                len(line) == 4
                and Path(line[2]).name == Path(__file__).name
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                yield line[3]


def _belongs(process: psutil.Process, run_dir: str, session: int | None) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if session is not None and os.getsid(process.pid) == session:
            return True
        return process.environ().get(MARK) == run_dir
    except (psutil.Error, OSError):
        return False


class _Watch:
    """Waits for the child's end, the task's end, or a signal, without polling."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        self.parent = os.getppid()
        self.ended = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._wake(b"s"))

    def follow(self, child: subprocess.Popen[bytes]) -> None:
        """Wake up when the child ends."""

        def wait() -> None:
            child.wait()
            self._wake(b"c")

        threading.Thread(target=wait, daemon=True).start()

    def wait(self) -> bool:
        """Return True if the child ended by itself, False if it must be ended."""
        while True:
            ready, _, _ = select.select([0, self.read_end], [], [], _LOOK_AGAIN)
            if self.read_end in ready:
                return os.read(self.read_end, 1) == b"c"
            # A process that the task forked may hold the pipe open; the parent tells as well.
            if (0 in ready and not os.read(0, 4096)) or os.getppid() != self.parent:
                return False

    def _wake(self, what: bytes) -> None:
        with suppress(OSError):
            os.write(self._write_end, what)


def _read_line() -> bytes:
    """Without a buffer, which would take what select is to see."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 65536)
        if not piece:
            return b""
        line += piece
    return line


def main(run_dir: str) -> int:
    """Run what standard input says; returns the exit code."""
    watch = _Watch()
    order = json.loads(_read_line() or b"{}")
    if not order:
        return CANCELLED
    try:
        child = subprocess.Popen(
            order["argv"],
            env={**order["env"], MARK: run_dir},
            cwd=order["cwd"],
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
    except OSError as error:
        sys.stderr.write(f"cannot start {order['argv'][0]}: {error}\n")
        return CANNOT_START
    watch.follow(child)
    ended = watch.wait()
    code = child.returncode if ended else CANCELLED
    end(run_dir, order["grace"] if not ended else 1.0, session=os.getpid())
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    exit_code = CANCELLED
    try:
        exit_code = main(sys.argv[1])
    finally:
        remove(Path(sys.argv[1]))
    # Not sys.exit, which would wait for the thread that waits for the child.
    sys.stderr.flush()
    os._exit(exit_code)
