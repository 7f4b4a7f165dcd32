"""titanic_etl_stock is titanic_etl's first half by the provider's own operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture
def dags(monkeypatch: pytest.MonkeyPatch) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("AIRFLOW__BIGDATA__NAMESPACE", "spark-jobs")
    monkeypatch.setenv("AIRFLOW__BIGDATA__KUBERNETES_CONN_ID", "spark_cluster")

    def load(dag_id: str) -> Any:
        bag = DagBag(str(DAGS / f"{dag_id}.py"))
        assert not bag.import_errors
        return bag.dags[dag_id]

    return load


def test_the_provider_s_operator_gets_the_same_manifest_and_our_settings(dags: Any) -> None:
    stock, ours = dags("titanic_etl_stock").get_task("transform"), dags("titanic_etl").get_task("transform")
    assert type(stock) is SparkKubernetesOperator
    assert stock.application_file == ours.application_file
    assert (stock.namespace, stock.kubernetes_conn_id) == ("spark-jobs", "spark_cluster")


def test_params_and_order_are_those_of_titanic_etl(dags: Any) -> None:
    stock, ours = dags("titanic_etl_stock"), dags("titanic_etl")
    assert stock.params
    for name in stock.params:
        assert stock.params.get_param(name).dump() == ours.params.get_param(name).dump()
    for task_id in ("transform", "quality", "report"):
        before = ours.get_task(task_id).upstream_task_ids & set(stock.task_ids)
        assert stock.get_task(task_id).upstream_task_ids == before
