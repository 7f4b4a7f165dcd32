"""The few calls of Airflow's REST API that its pages make."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any


class Api:
    """A client with a token.

    :param user: None: where everybody is an admin.
    """

    def __init__(self, url: str, user: str | None = None, password: str = "") -> None:
        self.url, self.token = url, ""
        self.token = self.ask("/auth/token", {"username": user, "password": password} if user else None)["access_token"]

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> Run:
        found = self.ask(f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        return Run(self, dag_id, found["dag_run_id"])


class Run:
    """A DAG run."""

    def __init__(self, api: Api, dag_id: str, run_id: str) -> None:
        self.api, self.dag_id, self.run_id = api, dag_id, run_id
        self.path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"

    def state(self) -> str:
        return str(self.api.ask(self.path)["state"])

    def tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.ask(f"{self.path}/taskInstances")["task_instances"]
        return found

    def wait(self, seconds: float = 240.0, pause: float = 0.5) -> str:
        deadline = time.monotonic() + seconds
        while (state := self.state()) in ("queued", "running"):
            assert time.monotonic() < deadline, self.tasks()
            time.sleep(pause)
        return state

    def log(self, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        where = f"{self.path}/taskInstances/{task_id}/logs/{try_number}?map_index={map_index}&full_content=true"
        return "\n".join(text for line in self.api.ask(where)["content"] for text in _lines(line))

    def clear(self) -> None:
        body = {"dry_run": False, "dag_run_id": self.run_id, "only_failed": False, "reset_dag_runs": True}
        self.api.ask(f"/api/v2/dags/{self.dag_id}/clearTaskInstances", body)

    def mark(self, task_id: str, state: str) -> None:
        self.api.ask(f"{self.path}/taskInstances/{task_id}", {"new_state": state}, "PATCH")


def _lines(line: dict[str, Any]) -> list[str]:
    """A line of a task's log, and the exceptions that it carries."""
    details = line.get("error_detail") or []
    return [str(line["event"]), *(f"{item['exc_type']}: {item['exc_value']}" for item in details)]
