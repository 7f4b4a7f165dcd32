"""Run a DAG as ``airflow dags test`` does, in this process, and look at what it left in Airflow's database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).parents[3] / "dags"


@dataclass
class Run:
    """A finished DAG run."""

    state: str
    tasks: dict[str, str]
    xcoms: dict[str, Any]
    log: str


@pytest.fixture
def run_dag(
    airflow_db: None, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Callable[..., Run]:
    """Run a DAG to its end; keyword arguments are its run's configuration."""

    def run(dag_id: str, **conf: Any) -> Run:
        from airflow.dag_processing.dagbag import DagBag
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        bag = DagBag(str(DAGS / f"{dag_id}.py"))
        assert not bag.import_errors
        caplog.clear()
        dag_run = bag.dags[dag_id].test(run_conf=conf)
        captured = capfd.readouterr()
        with create_session() as session:
            rows = session.scalars(XComModel.get_many(run_id=dag_run.run_id, key="return_value", dag_ids=dag_id)).all()
            xcoms = {row.task_id: XComModel.deserialize_value(row) for row in rows}
            tasks = {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances(session=session)}
        return Run(str(dag_run.state), tasks, xcoms, captured.out + captured.err + caplog.text)

    return run
