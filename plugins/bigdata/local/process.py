"""Processes that outlive the one that starts them: started in a session of their own, found again, and ended as a
group.

A process is known by its pid and its creation time, because a pid alone may belong to a stranger by now. Each also
carries a mark on its command line, by which it is found when its starter was killed before it could write the pid
down.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path

import psutil

#: environment variable that hands the mark down to what a marked process starts
MARK_VARIABLE = "BIGDATA_STACK_MARK"

# Linux derives the creation time from the boot time, which moves a little when the clock is set.
_CLOCK_STEP_SECONDS = 3.0


def spawn(command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path) -> psutil.Popen:
    """Start a process that no signal of this terminal reaches; its output replaces what ``log`` had."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return psutil.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )


def find(pid: int, created: float) -> psutil.Process | None:
    """The process, unless it ended or its pid belongs to another one now."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > _CLOCK_STEP_SECONDS or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.Error:
        return None
    return process


def marked(marks: Set[str]) -> list[psutil.Process]:
    """All processes with one of ``marks`` as a word of their command line, and all that such ones started."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            carries = not marks.isdisjoint(process.cmdline()) or process.environ().get(MARK_VARIABLE) in marks
            if carries and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def with_descendants(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """The processes that still exist, and all that they started."""
    found: dict[int, psutil.Process] = {}
    for process in processes:
        with suppress(psutil.Error):
            found |= {member.pid: member for member in (process, *process.children(recursive=True))}
    return list(found.values())


def stop(processes: Iterable[psutil.Process], grace: float) -> None:
    """End the processes, their groups and their descendants: SIGTERM, ``grace`` seconds, then SIGKILL."""
    alive = with_descendants(processes)
    for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        for process in alive:
            _send(process, number)
            # One that was halted (Ctrl-Z, SIGSTOP) takes note only when it goes on.
            _send(process, signal.SIGCONT)
        _, alive = psutil.wait_procs(alive, timeout=wait)


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.Error, ProcessLookupError, PermissionError):
        # is_running() compares creation times, so that a stranger with the same pid is left alone.
        if process.is_running() and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
