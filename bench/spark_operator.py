"""SparkPi by SparkApplicationOperator beside the provider's SparkKubernetesOperator, deferrable and not, in turns, in
one whole Airflow (LocalExecutor) and one cluster with the Spark operator.

Four figures a run, by one clock: seconds from the task's start to the application's creation, seconds that the worker
slot is held after that until the task defers, seconds from the application's end to the task's, and requests to the API
server, counted by a proxy before it. Needs KUBECONFIG, and the image of spark_jobs/spark_pi.yaml on the nodes.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from submit.counter import CountingProxy  # noqa: E402
from tests.airflow_parts import Airflow  # noqa: E402

AIMS = {"create": 1.5, "slot": 0.0, "end": 0.5, "requests": 15}
ENDS = ("COMPLETED", "FAILED")


class Applications:
    """When applications came and ended, as a watch of our own saw it."""

    def __init__(self) -> None:
        from kubernetes.client import CustomObjectsApi
        from kubernetes.config import new_client_from_config

        self.created: list[float] = []
        self.ended: list[float] = []
        self._api = CustomObjectsApi(new_client_from_config())
        self._is_ready = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        self._is_ready.wait(20)

    def _watch(self) -> None:
        from kubernetes.watch import Watch

        where = ("sparkoperator.k8s.io", "v1beta2", "default", "sparkapplications")
        version = self._api.list_namespaced_custom_object(*where)["metadata"]["resourceVersion"]
        seen: set[str] = set()
        self._is_ready.set()
        while True:
            stream = Watch().stream(self._api.list_namespaced_custom_object, *where, resource_version=version)
            for event in stream:
                found: Any = event["object"]
                version, uid = found["metadata"]["resourceVersion"], found["metadata"]["uid"]
                state = ((found.get("status") or {}).get("applicationState") or {}).get("state")
                if event["type"] == "ADDED":
                    self.created.append(time.time())
                elif state in ENDS and uid not in seen:
                    seen.add(uid)
                    self.ended.append(time.time())


@dataclass
class Figures:
    """Of one run."""

    create: float
    slot: float
    end: float
    requests: int


class Task:
    """The state of a run's task, straight from Airflow's database."""

    def __init__(self, database: Path, run_id: str) -> None:
        self._link = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
        self._run_id = run_id

    def row(self) -> tuple[str | None, float, float]:
        """State, start and end."""
        query = "select state, start_date, end_date from task_instance where run_id = ?"
        state, start, end = self._link.execute(query, (self._run_id,)).fetchone()
        return state, _time(start), _time(end)


def measure(airflow: Airflow, proxy: CountingProxy, seen: Applications, dag_id: str, show: bool) -> Figures:
    """Run a DAG once."""
    created, ended, before = len(seen.created), len(seen.ended), proxy.counts.copy()
    run = airflow.api.trigger(dag_id)
    task = Task(airflow.home / "airflow.db", run.run_id)
    started = deferred = 0.0
    while (row := task.row())[0] not in ("success", "failed"):
        started = started or row[1]
        if row[0] == "deferred" and not deferred:
            deferred = time.time()
        time.sleep(0.02)
    if row[0] != "success":
        raise SystemExit(f"{dag_id} failed\n{run.log('pi')[-4000:]}")
    time.sleep(2)
    added = proxy.counts - before
    if show:
        for (agent, what, path), count in sorted(added.items()):
            print(f"    {count:3} {what:6} {path}  {agent}")
    return Figures(
        create=seen.created[created] - started,
        slot=max(0.0, deferred - seen.created[created]) if deferred else 0.0,
        end=row[2] - seen.ended[ended],
        requests=sum(added.values()),
    )


def _time(text: str | None) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() if text else 0.0


def main() -> None:
    """Print the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--show-requests", action="store_true")
    arguments = parser.parse_args()
    if not os.environ.get("KUBECONFIG"):
        print("KUBECONFIG is not set: this benchmark needs a cluster with the Spark operator; skipped")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        proxy = CountingProxy(Path(os.environ["KUBECONFIG"]), folder)
        connection = f'{{"conn_type": "kubernetes", "extra": {{"kube_config_path": "{proxy.kubeconfig}"}}}}'
        environ = {"AIRFLOW_CONN_KUBERNETES_DEFAULT": connection, "AIRFLOW__SECRETS__BACKEND": ""}
        airflow = Airflow(folder / "airflow", Path(__file__).parent / "submit" / "dags", environ)
        found: dict[str, list[Figures]] = {}
        try:
            airflow.api = airflow.start()
            seen = Applications()
            for round_ in range(arguments.rounds):
                for dag_id in ("provider", "ours", "provider_deferrable", "ours_deferrable"):
                    figures = measure(airflow, proxy, seen, dag_id, arguments.show_requests)
                    found.setdefault(dag_id, []).append(figures)
                    print(f"round {round_ + 1}, {dag_id}: {figures}", flush=True)
        finally:
            airflow.stop()
    report(found)


def report(found: dict[str, list[Figures]]) -> None:
    """Medians, and how many times ours is better."""
    names = list(AIMS)
    medians = {
        dag_id: {name: statistics.median(getattr(item, name) for item in runs) for name in names}
        for dag_id, runs in found.items()
    }
    print(f"\n{'':22}{'create s':>10}{'slot s':>10}{'end s':>10}{'requests':>10}")
    for dag_id, row in medians.items():
        print(f"{dag_id:22}" + "".join(f"{row[name]:>10.2f}" for name in names))
    print(f"{'aim':22}" + "".join(f"{AIMS[name]:>10.2f}" for name in names))
    for more in ("", "_deferrable"):
        ours, theirs = medians[f"ours{more}"], medians[f"provider{more}"]
        ratios = ", ".join(f"{name} {theirs[name] / max(ours[name], 0.01):.1f}" for name in names)
        print(f"provider / ours{more}: {ratios}")


if __name__ == "__main__":
    main()
