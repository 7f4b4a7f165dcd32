"""A whole Airflow, each part a process of its own that a test can kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bigdata.local.ports import free_port

from .airflow_api import Api

PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")


class Airflow:
    """Scheduler with LocalExecutor, DAG processor, triggerer and API server, on SQLite; quick to notice a death."""

    def __init__(self, home: Path, dags: Path, environ: dict[str, str]) -> None:
        self.home = home
        self.parts: dict[str, subprocess.Popen[bytes]] = {}
        taken: set[int] = set()
        for _ in range(3):
            taken.add(free_port(18080, taken))
        api, worker_logs, trigger_logs = sorted(taken)
        self.url = f"http://127.0.0.1:{api}"
        self.environ = os.environ | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__PORT": str(api),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-test-run-and-long-enough-for-a-signature-of-512-bits-of-it",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
            **environ,
        }

    api: Api

    def start(self) -> Api:
        """Start all of it; returns when its API answers and the DAGs are there."""
        self.home.mkdir(parents=True, exist_ok=True)
        migrate = ["airflow", "db", "migrate"]
        subprocess.run(migrate, env=self.environ, check=True, capture_output=True, timeout=300)
        for part in PARTS:
            self.begin(part)
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            with suppress(OSError, urllib.error.URLError, KeyError, ValueError):
                api = Api(self.url)
                if api.ask("/api/v2/dags?limit=1")["total_entries"]:
                    return api
            dead = [part for part, process in self.parts.items() if process.poll() is not None]
            assert not dead, self.output(dead[0])
            time.sleep(1)
        raise AssertionError(f"Airflow does not answer\n{self.output('api-server')}")

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """Its database, for what has no API."""
        connection = sqlite3.connect(self.home / "airflow.db", timeout=30)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def begin(self, part: str) -> None:
        """Start one part."""
        with (self.home / f"{part}.log").open("ab") as out:
            self.parts[part] = subprocess.Popen(
                ["airflow", part], env=self.environ, stdout=out, stderr=out, start_new_session=True
            )

    def kill(self, part: str) -> None:
        """End one part and its children, as the loss of its machine would."""
        process = self.parts.pop(part)
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(process.pid).children(recursive=True)
            for item in (psutil.Process(process.pid), *family):
                with suppress(psutil.NoSuchProcess):
                    item.send_signal(signal.SIGKILL)
        process.wait(30)

    def stop(self) -> None:
        """End all of it."""
        for part in list(self.parts):
            self.kill(part)

    def output(self, part: str) -> str:
        """The end of what a part printed."""
        return (self.home / f"{part}.log").read_text(errors="replace")[-4000:]
