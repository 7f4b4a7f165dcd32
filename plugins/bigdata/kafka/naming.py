"""What a task is called at the brokers: a function of the task instance alone, the same in each of its tries.

ACLs go by prefix: ``bigdata.<dag>.`` covers the transactional ids of a DAG, ``<dag>.`` its groups.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

PREFIX = "bigdata"
_LONGEST = 200


@dataclass(frozen=True)
class TaskNames:
    """Names of one task instance.

    :param map_index: -1 for a task that is not mapped.
    :param instance: tells one Airflow from another that has the same DAGs and the same brokers.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    instance: str = ""

    @property
    def group(self) -> str:
        """The group of the task in all its runs, whose commits each run goes on from."""
        end = f".{self.instance}" if self.instance else ""
        return f"{self.dag_id}.{self.task_id}{end}"

    @property
    def transactional_id(self) -> str:
        """Of its producer; also the group that keeps the receipt."""
        return f"{PREFIX}.{self.member}"

    @property
    def member(self) -> str:
        """Its place in a group: letters, digits, ``.``, ``_`` and ``-``, with a hash for what is cut or replaced."""
        mapped = f".{self.map_index}" if self.map_index >= 0 else ""
        whole = f"{self.dag_id}.{self.task_id}{mapped}.{self.instance}.{self.run_id}"
        digest = hashlib.sha256(whole.encode()).hexdigest()[:10]
        readable = re.sub(r"[^a-zA-Z0-9._-]+", "-", f"{self.dag_id}.{self.task_id}{mapped}.{self.run_id}")
        return f"{readable[:_LONGEST]}.{digest}"

    def delivery(self, try_number: int | None = None) -> str:
        """What its records carry in their header; with the try where tries must be told apart."""
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        end = f"/{try_number}" if try_number is not None else ""
        return f"{self.dag_id}/{self.run_id}/{self.task_id}{mapped}{end}"
