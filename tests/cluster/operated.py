"""What the tests of applications by the Spark operator share."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bigdata.kubernetes.resources import Resources
from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION, OperatorHandle, OperatorRuntime, OperatorSettings
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load
from bigdata.spark.naming import NAME_VARIABLE, TaskTry
from bigdata.spark.runtime import Outcome, State, run

IMAGE = os.environ.get("BIGDATA_SPARK_IMAGE", "bigdata/spark:4.2.0")
PI = Path(__file__).parents[2] / "spark_jobs" / "spark_pi.yaml"
JOB = Path(__file__).parent / "job.py"
# The chart of the Spark operator watches this one, unless told otherwise.
NAMESPACE = os.environ.get("SPARK_OPERATOR_NAMESPACE", "default")


@dataclass
class Bench:
    """A runtime and what it told."""

    settings: OperatorSettings
    lines: list[str] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    @property
    def runtime(self) -> OperatorRuntime:
        return OperatorRuntime(self.settings, self.lines.append)

    @property
    def resources(self) -> Resources:
        return Resources(self.settings.api_client, SPARK_APPLICATION, self.settings.namespace)

    def run(self, application: Application, on_state: Callable[[State], None] = lambda state: None) -> Outcome:
        def keep(state: State) -> None:
            self.states.append(state)
            on_state(state)

        return run(self.runtime, application, keep)

    def raw(self) -> list[str]:
        """The operator's states, in order, each once."""
        return list(dict.fromkeys(state.raw for state in self.states))


def application(what: str = "show", task_try: TaskTry | None = None, **spec: Any) -> Application:
    """The job as an application of a task's try."""
    # As for all JVMs of tests, see tests/conftest.py.
    quick = {f"spark.{part}.extraJavaOptions": "-XX:TieredStopAtLevel=1" for part in ("driver", "executor")}
    mounted = {"volumeMounts": [{"name": "job", "mountPath": "/mnt/job"}]}
    named = task_try or TaskTry("cluster", "test", uuid.uuid4().hex)
    base = load(PI).with_name(named.name).with_labels(named.labels).with_variable(NAME_VARIABLE, named.name)
    return base.with_spec(
        image=IMAGE,
        mainApplicationFile="local:///mnt/job/job.py",
        arguments=[what],
        volumes=[{"name": "job", "configMap": {"name": "job"}}],
        driver=mounted,
        sparkConf=quick,
    ).with_spec(**spec)


def until(handle: OperatorHandle, runtime: OperatorRuntime, raw: str) -> None:
    for state in runtime.observe(handle):
        if state.raw == raw:
            return
    raise AssertionError(f"it never was {raw}")
