"""A real ``airflow triggerer`` in an Airflow of its own, tasks deferred to it, and what it takes."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

# The task only gives its instances a place; no worker runs it.
DAG = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("waiting", schedule=None):
    EmptyOperator(task_id="wait")
"""
FIRED = "Trigger fired event"
BLOCKED = "async thread was blocked"


class Airflow:
    """A new Airflow in a folder of its own, for this process and its children. Make it before Airflow is imported.

    :param capacity: triggers that the triggerer may have.
    :param kubeconfig: what the connection kubernetes_default names.
    """

    def __init__(self, home: Path, capacity: int, kubeconfig: Path) -> None:
        self.home = home
        for key in [key for key in os.environ if key.startswith("AIRFLOW_")]:
            if not key.startswith("AIRFLOW__BIGDATA__"):
                del os.environ[key]
        connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(kubeconfig)}}
        (home / "dags").mkdir()
        (home / "dags" / "waiting.py").write_text(DAG)
        os.environ |= {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW__TRIGGERER__CAPACITY": str(capacity),
            "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection),
            # Where the triggerer finds waits.sleeper.
            "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")])),
        }
        # The provider's operator takes it beside the connection, and then its trigger refuses both.
        os.environ.pop("KUBECONFIG", None)
        self.env = dict(os.environ)
        os.environ |= {"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"}
        subprocess.run(["airflow", "db", "migrate"], check=True, capture_output=True, timeout=600)
        # Readers do not hold up writers, as in a real database.
        with closing(sqlite3.connect(home / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")
        self._store_dag()

    def _store_dag(self) -> None:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

        folder = self.home / "dags"
        DagBundlesManager().sync_bundles_to_db()
        sync_bag_to_db(DagBag(folder, bundle_path=folder, bundle_name="dags-folder"), "dags-folder", None)

    def defer(self, run_id: str, triggers: Sequence[Any]) -> None:
        """Make a run with one running task instance a trigger, and defer each as its worker would: by Airflow's API."""
        from airflow._shared.timezones.timezone import utcnow
        from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
        from airflow.models.dag_version import DagVersion
        from airflow.models.serialized_dag import SerializedDagModel
        from airflow.models.taskinstance import TaskInstance
        from airflow.sdk.execution_time.comms import DeferTask
        from airflow.sdk.serde import serialize
        from airflow.utils.session import create_session
        from airflow.utils.state import DagRunState, TaskInstanceState
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        ids = []
        with create_session() as session:
            version = DagVersion.get_latest_version("waiting", session=session)
            dag = SerializedDagModel.get_dag("waiting", session=session)
            dag.create_dagrun(
                run_id=run_id,
                run_after=utcnow(),
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.RUNNING,
                session=session,
            )
            for number in range(len(triggers)):
                instance = TaskInstance(
                    dag.get_task("wait"), version.id, run_id, TaskInstanceState.RUNNING, map_index=number
                )
                instance.start_date, instance.try_number = utcnow(), 1
                session.add(instance)
                ids.append(instance.id)
        client = TriggerRunnerSupervisor.make_client(None)  # the API without a server; it needs no supervisor
        for task_id, trigger in zip(ids, triggers, strict=True):
            classpath, arguments = trigger.serialize()
            message = DeferTask(
                classpath=classpath, trigger_kwargs=serialize(arguments), next_method="resume", next_kwargs={}
            )
            client.task_instances.defer(task_id, message)

    def left(self, run_id: str) -> dict[int, tuple[float, str]]:
        """By map index: when the triggerer ended the task or handed it back to the scheduler, and how."""
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import func, select

        when = func.coalesce(TaskInstance.end_date, TaskInstance.scheduled_dttm)
        columns = (TaskInstance.map_index, when, TaskInstance.state, TaskInstance.next_kwargs)
        query = select(*columns).where(TaskInstance.run_id == run_id, TaskInstance.state.in_(("scheduled", "success")))
        with create_session() as session:
            found = session.execute(query).all()
        return {index: (_seconds(when), f"{state} {json.dumps(event)}") for index, when, state, event in found}

    def forget(self, run_id: str) -> None:
        """Drop a run, so that the next triggerer finds none of its triggers."""
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.trigger import Trigger
        from airflow.utils.session import create_session
        from sqlalchemy import delete

        with create_session() as session:
            session.execute(delete(TaskInstance).where(TaskInstance.run_id == run_id))
            session.execute(delete(DagRun).where(DagRun.run_id == run_id))
            session.execute(delete(Trigger))

    def said(self, run_id: str, words: str) -> dict[int, float]:
        """By map index: when the trigger's log said these words first."""
        found = {}
        for file in self.home.glob(f"logs/dag_id=waiting/run_id={run_id}/**/*.log"):
            index = next(part for part in file.parts if part.startswith("map_index="))
            for line in file.read_text().splitlines():
                if words in line:
                    when = datetime.fromisoformat(json.loads(line)["timestamp"])
                    found[int(index.removeprefix("map_index="))] = when.timestamp()
                    break
        return found

    @contextmanager
    def triggerer(self) -> Iterator[Triggerer]:
        """A triggerer until the end of the block."""
        with (self.home / "triggerer.log").open("w+b") as log:
            # Without its server of logs: one port a machine, and nothing that depends on the triggers.
            command = ["airflow", "triggerer", "--skip-serve-logs"]
            child = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, start_new_session=True)
            found = Triggerer(psutil.Process(child.pid), Path(log.name))
            try:
                found.wait_until_up()
                yield found
            finally:
                found.stop(child)


class Triggerer:
    """A running triggerer: the supervisor has the database; the runner, its child, has the triggers."""

    def __init__(self, supervisor: psutil.Process, log: Path) -> None:
        self.supervisor, self._log = supervisor, log

    @property
    def processes(self) -> list[psutil.Process]:
        return [self.supervisor, *self.supervisor.children(recursive=True)]

    def wait_until_up(self, seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while len(self.processes) < 2 or not self._log.stat().st_size:
            if time.monotonic() > deadline or not self.supervisor.is_running():
                raise SystemExit(f"the triggerer does not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.5)
        time.sleep(5)

    def stop(self, child: subprocess.Popen[bytes]) -> None:
        processes = self.processes
        child.terminate()
        _, alive = psutil.wait_procs(processes, timeout=30)
        for process in alive:
            process.kill()
        child.wait()

    def cpu(self) -> list[float]:
        """Seconds of each process so far."""
        return [sum(process.cpu_times()[:2]) for process in self.processes]

    def memory(self) -> dict[str, list[int]]:
        """MB of each process. PSS counts what they share once, as a container's limit does; RSS once each."""
        infos = [process.memory_full_info() for process in self.processes]
        return {
            "PSS": [round(getattr(info, "pss", info.uss) / 1e6) for info in infos],
            "RSS": [round(info.rss / 1e6) for info in infos],
        }

    def connections(self, port: int) -> int:
        """Open connections to this port."""
        found = [item for process in self.processes for item in process.net_connections("tcp")]
        return sum(item.status == psutil.CONN_ESTABLISHED and item.raddr.port == port for item in found)

    def blocked(self) -> int:
        """How often Airflow has said that a trigger held its event loop up."""
        return self._log.read_text(errors="replace").count(BLOCKED)


def _seconds(when: Any) -> float:
    return (when if isinstance(when, datetime) else datetime.fromisoformat(when)).replace(tzinfo=UTC).timestamp()
