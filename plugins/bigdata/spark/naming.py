"""What an application is called: a function of the task's try alone, so that any process can find it again.

The name begins with the readable start of DAG and task; the hash over all parts makes it unique, as the run is not in
it and long parts are cut. Its 40 bits are plenty for what exists in a namespace at one time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

# Leaves room for what the operator, Spark and Prometheus derive from it, see bigdata.spark.manifest.rules.
LONGEST = 49

_HASH_LENGTH = 10
PREFIX = "airflow-bigdata/"
# The label selector of all that this library makes.
OURS = f"{PREFIX}dag-id"
TRY = f"{PREFIX}try-number"
# The application that a driver without the operator is of.
APPLICATION = f"{PREFIX}application"
# The application's name in the environment of its driver and executors, as the provider's operator calls it.
NAME_VARIABLE = "SPARK_APPLICATION_NAME"
_LONGEST_LABEL = 63


@dataclass(frozen=True)
class TaskTry:
    """One try of one task instance.

    :param map_index: -1 for a task that is not mapped, as in Airflow.
    :param try_number: from 1.
    :param title: the readable start of the name, instead of DAG and task.
    :param instance: tells one Airflow from another that has the same DAGs in the same namespace.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    try_number: int = 1
    title: str = ""
    instance: str = ""

    @property
    def name(self) -> str:
        """The application's name: a DNS-1035 label of at most :data:`LONGEST` characters."""
        end = f"-{self._hash()}-{self.try_number}"
        readable = re.sub(r"[^a-z0-9]+", "-", (self.title or f"{self.dag_id}-{self.task_id}").lower()).strip("-")
        if not readable[:1].isalpha():
            readable = f"x-{readable}".rstrip("-")
        return readable[: LONGEST - len(end)].rstrip("-") + end

    @property
    def labels(self) -> dict[str, str]:
        """The parts as labels; all but try-number are the same for every try."""
        parts = {
            "instance": self.instance,
            "dag-id": self.dag_id,
            "task-id": self.task_id,
            "run-id": self.run_id,
            "map-index": str(self.map_index) if self.map_index >= 0 else "",
            "try-number": str(self.try_number),
        }
        return {f"{PREFIX}{key}": label_value(value) for key, value in parts.items() if value}

    @property
    def task_labels(self) -> dict[str, str]:
        """Those that are the same for every run, too."""
        mine = tuple(f"{PREFIX}{part}" for part in ("instance", "dag-id", "task-id", "map-index"))
        return {key: value for key, value in self.labels.items() if key in mine}

    def _hash(self) -> str:
        # The lengths keep ("a", "b-c") and ("a-b", "c") apart.
        parts = [self.dag_id, self.task_id, self.run_id, str(self.map_index), str(self.try_number)]
        if self.instance:
            parts.insert(0, self.instance)
        text = "".join(f"{len(part)}:{part}" for part in parts)
        return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def plain_name(text: str) -> str:
    """A text as an application's name, and nothing added to it, as the provider's operator does it."""
    return re.sub(r"[^a-z0-9-]+", "-", text.lower())[:_LONGEST_LABEL].strip("-")


def label_value(text: str) -> str:
    """A text as a label's value: itself if it is one; otherwise its readable start and a hash of all of it."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", ".", text)
    plain = re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", plain)
    if plain == text and len(text) <= _LONGEST_LABEL:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
    start = plain[: _LONGEST_LABEL - _HASH_LENGTH - 1]
    return f"{start}-{digest}" if start else digest


def same_task(labels: Mapping[str, str]) -> str:
    """The label selector of all tries of a task instance, by the labels of one; empty if they name none."""
    return _selector(labels, ("dag-id", "task-id", "run-id"))


def all_runs(labels: Mapping[str, str]) -> str:
    """The label selector of all runs of a task, by the labels of one; empty if they name none."""
    return _selector(labels, ("dag-id", "task-id"))


def _selector(labels: Mapping[str, str], needed: tuple[str, ...]) -> str:
    keys = [f"{PREFIX}{part}" for part in needed]
    if not all(labels.get(key) for key in keys):
        return ""
    # What is not said must be absent, or another task, or another Airflow, would be meant, too.
    others = [f"{PREFIX}{part}" for part in ("map-index", "instance")]
    said = [f"{key}={labels[key]}" if labels.get(key) else f"!{key}" for key in others]
    return ",".join([*(f"{key}={labels[key]}" for key in keys), *said])
