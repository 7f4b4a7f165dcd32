"""What the KubernetesExecutor makes of it: by Airflow's own code, from a template as the chart's."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

from bigdata.errors import ConfigError
from bigdata.operators.worker_pod import worker_pod

TEMPLATE = {
    "metadata": {"labels": {"tier": "airflow"}},
    "spec": {
        "containers": [
            {
                "name": "base",
                "image": "bigdata/airflow:3.3.2",
                "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
            }
        ]
    },
}


def made(**given: Any) -> Any:
    template = PodGenerator.deserialize_model_dict(TEMPLATE)
    return PodGenerator.reconcile_pods(template, worker_pod(**given)["pod_override"])


def test_memory_is_request_and_limit() -> None:
    pod = made(cpu="2", memory="4Gi", node_selector={"pool": "core"})
    (container,) = pod.spec.containers
    assert container.image == "bigdata/airflow:3.3.2"
    assert container.resources.requests == {"cpu": "2", "memory": "4Gi"}
    assert container.resources.limits == {"memory": "4Gi"}
    assert pod.spec.node_selector == {"pool": "core"}
    assert pod.metadata.labels == {"tier": "airflow"}


def test_what_is_not_given_is_the_templates() -> None:
    (container,) = made(node_selector={"pool": "core"}).spec.containers
    assert container.resources.requests == {"cpu": "100m", "memory": "512Mi"}


def test_it_can_be_stored_with_the_dag() -> None:
    from airflow.sdk import DAG, task
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("d", schedule=None) as dag:

        @task(executor_config=worker_pod(memory="2Gi"))
        def work() -> None: ...

        work()
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    (container,) = stored.get_task("work").executor_config["pod_override"].spec.containers
    assert container.resources.limits == {"memory": "2Gi"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"memory": "2 Gi"}, "memory='2 Gi'"),
        ({"memory": "lots"}, "memory='lots'"),
        ({"cpu": "0"}, "cpu='0'"),
        ({"cpu": "-1"}, "cpu='-1'"),
        ({"cpu": "2", "cpu_limit": "500m"}, "the limit is below the request"),
    ],
)
def test_a_quantity_that_is_none(given: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        worker_pod(**given)
