"""From queued to started, and a run of two tasks: our Airflow on a cluster beside another, such as the chart's own.

Both are there already, with the KubernetesExecutor and bench/platform/two_tasks.py among their DAGs (gitSync with
``subPath: bench/platform``). AIRFLOW_OURS and AIRFLOW_OTHER name them: ``http://user:password@host:port``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.airflow_api import Api

NAMES = ("AIRFLOW_OTHER", "AIRFLOW_OURS")


def api(name: str) -> Api:
    found = urlsplit(os.environ[name])
    return Api(f"{found.scheme}://{found.hostname}:{found.port or 80}", found.username, found.password or "")


def measure(client: Api) -> tuple[float, list[float]]:
    """Seconds of a run, from its request; and of each task, from queued to started."""
    began = time.monotonic()
    run = client.trigger("two_tasks")
    state = run.wait(pause=0.1)
    seconds = time.monotonic() - began
    if state != "success":
        raise SystemExit(f"{run.run_id}: {state}")

    def at(task: dict[str, str], key: str) -> datetime:
        return datetime.fromisoformat(task[key])

    return seconds, [(at(task, "start_date") - at(task, "queued_when")).total_seconds() for task in run.tasks()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    if missing := [name for name in NAMES if name not in os.environ]:
        print(f"worker_start: skipped, {' and '.join(missing)} not set")
        return 0
    clients = {name: api(name) for name in NAMES}
    runs: dict[str, list[float]] = {name: [] for name in NAMES}
    starts: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(rounds):
        for name, client in clients.items():
            seconds, waits = measure(client)
            runs[name].append(seconds)
            starts[name] += waits
            time.sleep(2)
    for what, found in (("run of two tasks", runs), ("queued to started", starts)):
        other, ours = (statistics.median(found[name]) for name in NAMES)
        print(f"{what}: other {other:.2f} s, ours {ours:.2f} s, ratio {ours / other:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
