"""Parse every DAG file beside one that has a single empty task, as Airflow's DAG processor does, and print the ratios.

The processor imports the ``airflow.*`` modules that a DAG file names once, in its own process, and then forks a child
for each parse; the child reads the file and serializes its DAGs. That child's time is measured, in turns, file by file.
``--cold`` measures fresh interpreters instead, as a worker starts a task: there the provider's imports count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
EMPTY = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("empty", schedule=None):
    EmptyOperator(task_id="empty")
"""


def forked(file: Path) -> float:
    """Seconds of one parse in a forked child."""
    from airflow.dag_processing.processor import DagFileParseRequest, _parse_file

    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            request = DagFileParseRequest(
                file=str(file), bundle_path=file.parent, bundle_name="bench", callback_requests=[]
            )
            result = _parse_file(request, None)
            code = 0 if result and result.serialized_dags and not result.import_errors else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"{file} does not parse")
    return time.perf_counter() - start


def cold(file: Path) -> float:
    """Seconds of a fresh interpreter that runs the file."""
    start = time.perf_counter()
    subprocess.run([sys.executable, str(file)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(files: list[Path], parse: Callable[[Path], float], rounds: int) -> dict[Path, list[float]]:
    """Parse all files in turns, after one round that is not counted."""
    times: dict[Path, list[float]] = {file: [] for file in files}
    for number in range(rounds + 1):
        for file in files:
            seconds = parse(file)
            if number:
                times[file].append(seconds)
    return times


def warm_up(files: list[Path]) -> None:
    """What the DAG processor does before it forks."""
    import logging

    from airflow.dag_processing.processor import _pre_import_airflow_modules

    for file in files:
        _pre_import_airflow_modules(str(file), logging.getLogger(__name__))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    dags = sorted((ROOT / "dags").glob("*.py"))
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY)
        files = [empty, *dags]
        if not options.cold:
            warm_up(files)
        times = measure(files, cold if options.cold else forked, options.rounds)
    base = statistics.median(times[empty])
    print(f"{'DAG file':<24} {'median ms':>9} {'min ms':>8} {'ratio':>6}")
    for file in files:
        median, least = statistics.median(times[file]), min(times[file])
        print(f"{file.name:<24} {median * 1e3:>9.1f} {least * 1e3:>8.1f} {median / base:>6.2f}")


if __name__ == "__main__":
    main()
