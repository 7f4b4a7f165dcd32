"""Airflow itself, for the browser: api-server, scheduler, DAG processor and triggerer in one, on loopback.

``airflow standalone`` runs the four. Tasks run in its scheduler's processes and end with it.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bigdata.errors import StackError
from bigdata.local import record
from bigdata.local.environment import airflow_environment
from bigdata.local.ports import HOST, free_port
from bigdata.local.service import Service, Site

_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


@dataclass(frozen=True)
class Login:
    """Of the only user, made at the first start."""

    user: str
    password: str


class AirflowUI(Service):
    """The Airflow service; not part of a plain ``up``."""

    name = "airflow"
    version = version("apache-airflow")
    main_class = "airflow"
    jar_set = None
    first_port = 8080
    needs_inner_port = True

    def prepare(self, site: Site) -> None:
        """See :class:`Service`."""
        site.data.mkdir(parents=True, exist_ok=True)

    def command(self, site: Site, mark: str) -> Sequence[str]:
        """``-X`` takes any word, and so carries the mark."""
        return [sys.executable, "-X", mark, "-m", self.main_class, "standalone"]

    def environment(self, site: Site) -> dict[str, str]:
        """The project's, and what concerns this server."""
        url = self.url(site.port)
        history = record.load(site.state_dir / "stack" / "history.json")
        taken = {site.port, site.inner_port}
        return airflow_environment(
            site.project_dir, {**os.environ, "AIRFLOW__BIGDATA__STATE_DIR": str(site.state_dir)}
        ) | {
            "AIRFLOW__BIGDATA__STATE_DIR": str(site.state_dir),
            "AIRFLOW__BIGDATA__HISTORY_SERVER_URL": f"http://{HOST}:{history.port}" if history.port else "",
            "AIRFLOW__API__PORT": str(site.port),
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(site.inner_port),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port(site.inner_port + 1, taken)),
        }

    def answers(self, port: int, timeout: float) -> bool:
        """Ask for the health of all parts."""
        link = http.client.HTTPConnection(HOST, port, timeout=timeout)
        try:
            link.request("GET", "/api/v2/monitor/health")
            answer = link.getresponse()
            health = json.loads(answer.read()) if answer.status == 200 else {}
            return all((health.get(part) or {}).get("status") == "healthy" for part in _PARTS)
        except (OSError, ValueError, http.client.HTTPException):
            return False
        finally:
            link.close()

    def url(self, port: int) -> str:
        """The page."""
        return f"http://{HOST}:{port}"


def wait_for_dags(
    url: str, who: Login, dags: Path, since: float, timeout: float = 300.0, quiet: float = 30.0
) -> dict[str, str]:
    """Wait until Airflow has read each file with DAGs, some seconds after its parts are healthy.

    :param dags: the folder of the DAGs' files.
    :param since: when this Airflow started, in seconds since 1970; what it knows from before does not count.
    :param quiet: seconds without news after which the rest is not waited for: a file need not define a DAG.
    :return: what is wrong, by file; empty if nothing is.
    :raises StackError: not one file was read in ``timeout`` seconds.
    """
    from airflow.utils.file import list_py_file_paths

    awaited = {str(Path(file).relative_to(dags)) for file in list_py_file_paths(dags)}
    token = _ask(f"{url}/auth/token", {"username": who.user, "password": who.password})["access_token"]
    head = {"Authorization": f"Bearer {token}"}
    read: set[str] = set()
    started = news = time.monotonic()
    while True:
        listed = {dag["relative_fileloc"] for dag in _all(f"{url}/api/v2/dags", "dags", head) if _is_new(dag, since)}
        errors = {
            error["filename"]: str(error["stack_trace"]).strip().rpartition("\n")[2]
            for error in _all(f"{url}/api/v2/importErrors", "import_errors", head)
            if _is_new(error, since)
        }
        now = time.monotonic()
        missing = awaited - listed - set(errors)
        if awaited - missing != read:
            read, news = awaited - missing, now
        if not missing or (read and now - news > quiet) or now - started >= timeout:
            break
        time.sleep(1)
    if missing and not read:
        raise StackError("airflow", f"lists no DAGs after {timeout:.0f} s", "see: bigdata local logs airflow")
    return dict(sorted((errors | dict.fromkeys(missing, "no DAG found in it")).items()))


def _is_new(item: dict[str, Any], since: float) -> bool:
    when = item.get("last_parsed_time") or item.get("timestamp")
    return bool(when) and datetime.fromisoformat(str(when)).timestamp() >= since


def _all(url: str, key: str, headers: dict[str, str]) -> Iterator[dict[str, Any]]:
    found, total = 0, 1
    while found < total:
        page = _ask(f"{url}?limit=100&offset={found}", headers=headers)
        yield from page[key]
        found, total = found + max(len(page[key]), 1), page["total_entries"]


def _ask(url: str, body: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
    except OSError as error:
        raise StackError("airflow", f"{url}: {error}", "see: bigdata local logs airflow") from error
    return found


def login(state_dir: Path) -> Login:
    """Read the login that Airflow's simple auth manager made.

    :raises StackError: Airflow never started here.
    """
    file = state_dir / "airflow" / "simple_auth_manager_passwords.json.generated"
    try:
        ((user, password),) = json.loads(file.read_text()).items()
    except (OSError, ValueError) as error:
        raise StackError("airflow", f"no login in {file}: {error}", "run: make ui") from None
    return Login(user, password)
