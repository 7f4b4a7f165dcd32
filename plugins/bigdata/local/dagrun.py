"""Run one DAG with ``airflow dags test`` and show what matters of its long output.

Everything goes to a log file; the terminal gets a line a task, this library's own messages, and errors.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# 2026-11-21T06:53:09.606657Z [info     ] message [logger.name] key=value ...; a message may have several lines
_START = re.compile(r"^\d{4}-\d\d-\d\dT\S+ \[\w+\s*\] ")
_ENTRY = re.compile(
    r"^\S+ \[(?P<level>\w+)\s*\] (?P<message>.*?)\s+\[(?P<logger>[\w.]+)\](?: \S+=[^\n]*)?(?:\n(?P<rest>.*))?$",
    re.DOTALL,
)
_TASK = re.compile(r"\[DAG TEST\] (?P<event>starting|end task) task_id=(?P<task>\S+)")
_OURS = "bigdata."
# Logs an error for each request that a closing client leaves unanswered.
_NOISY = "kafka."


def run_dag(dag_id: str, arguments: Iterable[str], log_file: Path, verbose: bool, show: Callable[[str], None]) -> int:
    """Run ``airflow dags test <dag_id>``.

    :param arguments: further arguments of that command, such as ``--conf``.
    :param verbose: show every line.
    :return: its exit code; the whole output is in ``log_file``.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    last: deque[str] = deque(maxlen=3)
    command = ["airflow", "dags", "test", dag_id, *arguments]
    with (
        log_file.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as child,
    ):
        assert child.stdout is not None

        def kept() -> Iterator[str]:
            for line in child.stdout or ():
                log.write(line)
                last.append(line.rstrip("\n"))
                yield line.rstrip("\n")

        explained = verbose
        for line in kept() if verbose else digest(kept()):
            explained = explained or line.startswith("✘")
            show(line)
    if child.returncode and not explained:
        # It failed before its first task: an unknown DAG, a parameter out of range.
        show("\n".join(last))
    return child.returncode


def digest(lines: Iterable[str], clock: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """Pick a line a task, our own messages, and of an error the exception without its traceback."""
    started, failed = 0.0, False
    for entry in _entries(lines):
        found = _ENTRY.match(entry)
        if not found:
            continue
        if task := _TASK.match(found["message"]):
            if task["event"] == "starting":
                started, failed = clock(), False
                yield f"▶ {task['task']}"
            else:
                yield f"{'✘' if failed else '✔'} {task['task']} {clock() - started:.1f} s"
        elif found["level"] in ("error", "critical") and not found["logger"].startswith(_NOISY):
            failed = True
            yield from _indented(_exception(found["rest"] or "") or found["message"])
        elif found["logger"].startswith(_OURS):
            yield from _indented(found["message"])


def _entries(lines: Iterable[str]) -> Iterator[str]:
    entry: list[str] = []
    for line in lines:
        if _START.match(line) and entry:
            yield "\n".join(entry)
            entry = []
        entry.append(line)
    yield "\n".join(entry)


def _exception(traceback: str) -> str:
    """Take the last exception's message, which may have further, indented lines."""
    lines = traceback.splitlines()
    starts = [number for number, line in enumerate(lines) if line[:1].strip() and not line.startswith("Traceback")]
    return "\n".join(lines[starts[-1] :]) if starts else ""


def _indented(text: str) -> Iterator[str]:
    return (f"    {line}" for line in text.splitlines())
