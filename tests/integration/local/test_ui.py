"""Airflow as ``make ui`` starts it: log in, find the DAGs, trigger one as the browser does, see it end well."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bigdata import cli
from bigdata.errors import StackError
from bigdata.local.airflow_ui import login, wait_for_dags
from bigdata.local.stack import Stack
from bigdata.settings import Settings

from ...airflow_api import Api
from ..processes import alive, connections, running

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]


def test_a_dag_triggered_from_outside_runs_and_down_leaves_nothing(
    own_settings: Settings,
    own_stack: Callable[..., Stack],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("AIRFLOW__BIGDATA__STATE_DIR", str(own_settings.state_dir))
    monkeypatch.setenv("AIRFLOW__BIGDATA__PROJECT_DIR", str(ROOT))
    assert cli.main(["ui"]) == 0
    said = capsys.readouterr().out
    stack = own_stack(project_dir=ROOT)
    url, who = stack.require("airflow").url, login(own_settings.state_dir)
    assert f"{url}   user {who.user}, password {who.password}" in said

    (airflow,) = [item for item in stack.status() if item.name == "airflow"]
    family = [psutil.Process(airflow.pid), *psutil.Process(airflow.pid).children(recursive=True)]
    listening = [link for item in family for link in connections(item) if link.status == "LISTEN"]
    assert {link.laddr.ip for link in listening if link.laddr.port == airflow.port} == {"127.0.0.1"}

    with pytest.raises(urllib.error.HTTPError, match="401"):
        Api(url, who.user, "wrong")
    api = Api(url, who.user, who.password)
    listed = {item["dag_id"]: item["is_paused"] for item in api.ask("/api/v2/dags")["dags"]}
    assert listed == {file.stem: False for file in (ROOT / "dags").glob("*.py")}
    assert api.ask("/api/v2/importErrors")["total_entries"] == 0
    others = tmp_path / "dags"
    others.mkdir()
    (others / "never_read.py").write_text("from airflow.sdk import dag\n")
    with pytest.raises(StackError, match="lists no DAGs after 2 s"):
        wait_for_dags(url, who, others, airflow.since, timeout=2)
    (others / "titanic_etl.py").write_text("from airflow.sdk import dag\n")
    assert wait_for_dags(url, who, others, airflow.since, quiet=2) == {"never_read.py": "no DAG found in it"}
    form = api.ask("/api/v2/dags/titanic_etl/details")["params"]
    assert form["source"]["value"] == "data/titanic.csv"
    assert form["source"]["description"]

    assert api.trigger("titanic_report").wait(180) == "success"

    assert cli.main(["local", "down"]) == 0
    assert running(own_settings) == []
    assert not [item for item in family if alive(item)]
