"""The DAG spark_pi where there is a cluster with the Spark operator: all three ways succeed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster


def test_one_manifest_runs_here_natively_and_by_the_operator(airflow_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    if "SPARK_OPERATOR" not in os.environ:
        pytest.skip("SPARK_OPERATOR is not set: say there that the cluster has the Spark operator")
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": os.environ["KUBECONFIG"]}}
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(Path(__file__).parents[2] / "dags" / "spark_pi.py"))
    run = bag.dags["spark_pi"].test()

    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    assert states == dict.fromkeys(("spark_is_here", "local", "cluster_answers", "native", "operator"), "success")
