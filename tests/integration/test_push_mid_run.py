"""Which version a run has when its DAG changes meanwhile: in a folder, as gitSync keeps one, and by GitDagBundle."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..airflow_api import Api
from ..airflow_parts import Airflow
from ..waiting import soon

pytestmark = pytest.mark.integration

DAG = """
from pathlib import Path
from airflow.sdk import dag, task
from bigdata import settings

chosen = settings.load(__file__)

@dag(schedule=None, tags=["version-{version}"])
def {dag_id}():
    @task
    def first():
        import time
        while not Path({gate!r}).exists():
            time.sleep(0.2)

    @task
    def second():
        print("code", {version}, "data", (chosen.project_dir / "data.txt").read_text())

    first() >> second()

{dag_id}()
"""


class Checkout:
    """A repository with one DAG, named like its folder, and a file beside it, both of one version.

    ``link`` leads to a worktree of the newest version, and is moved to the next in one step, as gitSync does it.
    """

    def __init__(self, folder: Path, gate: Path) -> None:
        self.folder, self.gate, self.dag_id = folder, gate, folder.name
        self.link = folder.with_name(f"{folder.name}-link")
        for name in ("dags", "spark_jobs"):
            (folder / name).mkdir(parents=True)
        (folder / "pyproject.toml").touch()
        (folder / "spark_jobs" / "job.py").touch()
        self._git("init", "--quiet", "--initial-branch=main")

    def push(self, version: int) -> None:
        """Both files in one commit, and the link to its worktree."""
        dag = DAG.format(dag_id=self.dag_id, version=version, gate=str(self.gate))
        for name, text in {"dags/pushed.py": dag, "data.txt": str(version)}.items():
            (self.folder / name).write_text(text)
        self._git("add", ".")
        self._git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", str(version))
        tree, new = self.folder.with_name(f"{self.folder.name}-{version}"), self.link.with_suffix(".new")
        self._git("worktree", "add", "--quiet", "--detach", str(tree))
        new.symlink_to(tree)
        new.rename(self.link)

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, check=True)


def bundles(folder: Checkout, git: Checkout) -> list[dict[str, Any]]:
    return [
        {
            "name": "folder",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder.link / "dags"), "refresh_interval": 1},
        },
        {
            "name": "git",
            "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
            "kwargs": {"repo_url": str(git.folder), "tracking_ref": "main", "subdir": "dags", "refresh_interval": 1},
        },
    ]


def version_seen(api: Api, dag_id: str) -> str:
    (found,) = api.ask(f"/api/v2/dags/{dag_id}")["tags"]
    return str(found["name"])


def test_a_push_mid_run(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    folder, git = checkouts = [Checkout(tmp_path / name, gate) for name in ("by_folder", "by_git")]
    for checkout in checkouts:
        checkout.push(1)
    airflow = Airflow(
        tmp_path / "airflow",
        tmp_path / "none",
        {
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles(folder, git)),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(tmp_path / "bundles"),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
            "AIRFLOW__BIGDATA__PROJECT_DIR": "",
        },
    )
    try:
        api = airflow.start()
        assert soon(lambda: api.ask("/api/v2/dags")["total_entries"] == 2, 60)
        runs = [api.trigger(checkout.dag_id) for checkout in checkouts]
        for run in runs:
            assert soon(lambda run=run: any(task["state"] == "running" for task in run.tasks()), 60)
        for checkout in checkouts:
            checkout.push(2)
        for checkout in checkouts:
            assert soon(lambda it=checkout: version_seen(api, it.dag_id) == "version-2", 60)
        gate.touch()
        for run in runs:
            assert run.wait(60) == "success", [run.log(task["task_id"]) for task in run.tasks()]
        said = [run.log("second") for run in runs]
        assert "code 2 data 2" in said[0]
        assert "code 1 data 1" in said[1]
        later = api.trigger(git.dag_id)
        assert later.wait(60) == "success"
        assert "code 2 data 2" in later.log("second")
    finally:
        airflow.stop()
