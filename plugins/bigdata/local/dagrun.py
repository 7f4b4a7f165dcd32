"""Run one DAG with ``airflow dags test`` and show what matters of its long output.

Everything goes to a log file; the terminal gets a line a task, this library's own messages, and errors.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# 2026-11-21T06:53:09.606657Z [info     ] message [logger.name] key=value ...
_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\S+ \[(?P<level>\w+)\s*\] (?P<message>.*?)\s+\[(?P<logger>[\w.]+)\](?: \S+=.*)?$")
_TASK = re.compile(r"\[DAG TEST\] (?P<event>starting|end task) task_id=(?P<task>\S+)")
_OURS = "bigdata."


def run_dag(dag_id: str, arguments: Iterable[str], log_file: Path, verbose: bool, show: Callable[[str], None]) -> int:
    """Run ``airflow dags test <dag_id>``.

    :param arguments: further arguments of that command, such as ``--conf``.
    :param verbose: show every line.
    :return: its exit code; the whole output is in ``log_file``.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    command = ["airflow", "dags", "test", dag_id, *arguments]
    with (
        log_file.open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as child,
    ):
        assert child.stdout is not None

        def kept() -> Iterator[str]:
            for line in child.stdout or ():
                log.write(line)
                yield line.rstrip("\n")

        for line in kept() if verbose else digest(kept()):
            show(line)
    return child.returncode


def digest(lines: Iterable[str], clock: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """Pick a line a task, our own messages with their continuation lines, and errors."""
    started: dict[str, float] = {}
    shown = False
    for line in lines:
        found = _LINE.match(line)
        if not found:
            if shown:
                yield f"    {line}"
            continue
        level, message, logger = found["level"], found["message"].rstrip(), found["logger"]
        task = _TASK.match(message)
        shown = not task and (logger.startswith(_OURS) or level in ("error", "critical"))
        if task and task["event"] == "starting":
            started[task["task"]] = clock()
            yield f"▶ {task['task']}"
        elif task:
            yield f"✔ {task['task']} {clock() - started.get(task['task'], clock()):.1f} s"
        elif shown:
            yield f"    {message}"
