"""No lock-in: the provider's own operator takes the same manifest, unchanged, through ``airflow dags test``.

The whole of titanic_etl_stock needs an S3 in the cluster; it is run where titanic_etl is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bigdata.kubernetes.resources import Resources
from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION
from bigdata.spark.kubernetes.states import raw_state

pytestmark = pytest.mark.cluster

PI = Path(__file__).parents[2] / "spark_jobs" / "spark_pi.yaml"
IMAGE = os.environ.get("BIGDATA_SPARK_IMAGE", "bigdata/spark:4.2.0")
NAMESPACE = os.environ.get("SPARK_OPERATOR_NAMESPACE", "default")

DAG = f"""
from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
from airflow.sdk import DAG

with DAG("stock", schedule=None, template_searchpath=[{str(PI.parent)!r}]):
    SparkKubernetesOperator(
        task_id="pi", application_file={PI.name!r}, image={IMAGE!r}, namespace={NAMESPACE!r},
        delete_on_termination=False,
    )
"""


@pytest.fixture
def resources(api_client: Any) -> Resources:
    if "SPARK_OPERATOR" not in os.environ:
        pytest.skip("SPARK_OPERATOR is not set: say there that the cluster has the Spark operator")
    return Resources(api_client, SPARK_APPLICATION, NAMESPACE)


@pytest.fixture
def run(
    airflow_db: None, resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], tuple[str, dict[str, Any]]]]:
    """Run the DAG; returns its log and the application, which is deleted after the test."""
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": os.environ["KUBECONFIG"]}}
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    (tmp_path / "stock.py").write_text(DAG)
    names: list[str] = []

    def run() -> tuple[str, dict[str, Any]]:
        command = ["airflow", "dags", "test", "stock"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
        log = done.stdout + done.stderr
        names.extend(sorted(set(re.findall(r"spark-pi-[a-z0-9]{8}(?=-driver)", log))))
        assert done.returncode == 0, log[-5000:]
        (name,) = names
        found = resources.read(name)
        assert found is not None
        return log, found

    yield run
    for name in names:
        assert resources.delete(name)


def kept(given: Any, stored: Any) -> bool:
    """Whether all that was given is in what is stored, with the same value."""
    if isinstance(given, dict):
        return isinstance(stored, dict) and all(kept(value, stored.get(key)) for key, value in given.items())
    return bool(given == stored)


def test_the_provider_s_operator_runs_our_manifest_unchanged(
    run: Callable[[], tuple[str, dict[str, Any]]],
) -> None:
    log, application = run()

    assert "Pi is roughly 3.1" in log
    assert raw_state(application) == "COMPLETED"
    manifest = yaml.safe_load(PI.read_text())
    assert kept(manifest["spec"] | {"image": IMAGE}, application["spec"])
    # It takes the name as the start of its own.
    assert application["metadata"]["name"].startswith(manifest["metadata"]["name"])
