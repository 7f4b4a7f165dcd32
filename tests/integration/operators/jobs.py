"""Small jobs as tasks, run without Airflow around them, and what they said."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bigdata.operators.spark_application import SparkApplicationOperator

MANIFEST = """
apiVersion: sparkoperator.k8s.io/v1beta2
kind: SparkApplication
metadata: {{name: probe}}
spec:
  type: Python
  mode: cluster
  sparkVersion: 4.2.0
  image: any
  mainApplicationFile: file://{file}
  driver: {{cores: 1, memory: 512m}}
  executor: {{instances: 1}}
"""


class FakeTask(SimpleNamespace):
    """The few things of a task instance that an operator asks for outside Airflow."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class Said(logging.Handler):
    """What was said so far: by our loggers, and by the task's own, which writes to standard output past them."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        super().__init__(logging.INFO)
        self._capfd, self.printed = capfd, ""
        self._records: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append((record.levelname.lower(), record.getMessage()))

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Level and message of each."""
        self.printed += re.sub(r"\x1b\[\d*m", "", self._capfd.readouterr().out)
        return self._records + re.findall(r"\[(\w+) *\] (.*?) +\[[\w.]+\] loc=", self.printed)

    @property
    def text(self) -> str:
        return "\n".join(message for _, message in self.lines)


def operator(tmp_path: Path, program: str, **kwargs: Any) -> SparkApplicationOperator:
    """An operator whose job is this program."""
    (tmp_path / "job.py").write_text(program)
    manifest = MANIFEST.format(file=tmp_path / "job.py")
    return SparkApplicationOperator(task_id="t", application_file=manifest, runtime="local", **kwargs)


def execute(task: SparkApplicationOperator, context: dict[str, Any]) -> Any:
    """As the task runner does; the guard against calling it by hand is not what is tested."""
    return SparkApplicationOperator.execute.__wrapped__(task, context)  # type: ignore[attr-defined]
