"""The local runtime on the developer's Java and jars, and a job that does as it is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bigdata.local.jars import spark_jars
from bigdata.local.java import find_java
from bigdata.settings import Settings
from bigdata.spark.local.command import LocalSettings
from bigdata.spark.local.runtime import LocalRuntime
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load
from bigdata.spark.runtime import Outcome, State, run

JOBS = Path(__file__).parent / "jobs"
SECRET = "hunter2-hunter2"


def probe(*arguments: str, **spec: Any) -> Application:
    """The probe as an application; what of the spec is a mapping is merged."""
    base: dict[str, Any] = {
        "type": "Python",
        "sparkVersion": "4.2.0",
        "mainApplicationFile": "local:///opt/spark/jobs/probe.py",
        "arguments": list(arguments),
        "driver": {"cores": 2, "memory": "512m"},
        "executor": {},
        "sparkConf": {},
    }
    for key, value in spec.items():
        base[key] = {**base[key], **value} if isinstance(base.get(key), dict) else value
    kind = {"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication"}
    return load({**kind, "metadata": {"name": "probe"}, "spec": base})


@dataclass
class Bench:
    """A runtime and what it told."""

    settings: LocalSettings
    lines: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    on_line: Callable[[str], None] = lambda line: None
    on_ui: Callable[[str], None] = lambda url: None

    def runtime(self, grace: float = 5.0) -> LocalRuntime:
        def log(line: str) -> None:
            self.lines.append(line)
            self.on_line(line)

        def ui(url: str) -> None:
            self.urls.append(url)
            self.on_ui(url)

        return LocalRuntime(self.settings, log, ui, grace)

    def run(self, application: Application, on_state: Callable[[State], None] = lambda state: None) -> Outcome:
        return run(self.runtime(), application, on_state)

    def said(self, start: str) -> str:
        """The only line of the job that begins so, without the beginning."""
        (found,) = [line.removeprefix(start).strip() for line in self.lines if line.startswith(start)]
        return found


@pytest.fixture
def bench(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A runtime with a state folder of its own; this process stands in an empty folder."""
    empty = tmp_path / "cwd"
    empty.mkdir()
    monkeypatch.chdir(empty)
    foreign = {"SPARK_HOME": "/nowhere", "SPARK_CONF_DIR": "/nowhere", "AWS_PROFILE": "mine", "AIRFLOW_CONN_X": "x"}
    return Bench(
        LocalSettings(
            java_home=find_java().home,
            state_dir=tmp_path / "state",
            jobs_root=JOBS,
            jars=tuple(spark_jars(settings)),
            secrets=lambda name, key: {"access_key": "test", "secret_key": SECRET}[key],
            environ={**os.environ, **foreign},
        )
    )
