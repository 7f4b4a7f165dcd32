"""The DAGs with the KafkaUsers of production, and nothing that these are not granted: tasks and Spark come in by
certificate, each by its own user. Strimzi's operators and the Spark operator are real, the broker is one.

CHART_STRIMZI and CHART_SPARK_OPERATOR say where the charts are; their images must be to be had, as must ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bigdata.storage.objects import ObjectStore

from . import helm, kustomized, services, strimzi_cluster

pytestmark = pytest.mark.cluster
VALUES = Path(__file__).parents[2] / "helm" / "spark-operator.yaml"


def manifests(names: dict[str, str]) -> str:
    """The local overlay's one broker, with production's users and an authorizer that holds them to their ACLs."""
    items = list(yaml.safe_load_all(kustomized.build("overlays/local/kafka", names)))
    ours = [item for item in items if item["kind"] != "KafkaUser"]
    for item in ours:
        if item["kind"] == "Kafka":
            item["spec"]["kafka"]["authorization"] = {"type": "simple"}
    theirs = yaml.safe_load_all((kustomized.K8S / "base/kafka/cluster/users.yaml").read_text())
    users = [item for item in theirs if item["metadata"]["name"] in ("airflow", "titanic-stream")]
    for user in users:
        user["metadata"]["namespace"] = names["bigdata"]
    return yaml.safe_dump_all([*ours, *users])


@pytest.fixture(scope="module")
def ready(core: Any) -> Iterator[dict[str, str]]:
    """The namespaces of k8s/base with a broker and a Spark operator."""
    charts = [
        helm.chart(variable, values)
        for variable, values in (
            ("CHART_STRIMZI", "helm/strimzi.yaml"),
            ("CHART_SPARK_OPERATOR", "helm/spark-operator.yaml"),
        )
    ]
    with strimzi_cluster.installed(core, charts[0]) as names:
        operator = names["bigdata"].replace("bigdata", "spark-operator")
        watched = f"spark.jobNamespaces={{{names['bigdata']}}}"
        options = ["--namespace", operator, "--create-namespace", "--values", str(VALUES), "--set", watched]
        helm.helm("install", operator, charts[1], *options, "--wait", "--timeout", "5m")
        try:
            kustomized.apply(manifests(names))
            assert strimzi_cluster.wait(names["bigdata"]) == {"found": None}
            yield names
        finally:
            helm.helm("uninstall", operator, "--namespace", operator, "--wait")
            core.delete_namespace(operator)


@pytest.fixture(scope="module")
def store(core: Any, ready: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """S3, whose keys the drivers have from a Secret."""
    with services.s3(core, tmp_path_factory.mktemp("s3")) as store:
        secret = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
        body = {"metadata": {"name": "aws-credentials"}, "stringData": secret}
        core.create_namespaced_secret(ready["bigdata"], body)
        yield store


def test_passengers_go_through_all_dags_by_the_users_certificates(
    core: Any, ready: dict[str, str], store: ObjectStore
) -> None:
    known = {
        "kafka_default": strimzi_cluster.connection(ready["bigdata"]),
        "kafka_stream": strimzi_cluster.connection(ready["bigdata"], "titanic-stream"),
        "aws_default": services.connection(store),
    }
    runs = (
        ("titanic_etl", {}),
        ("titanic_events", {}),
        ("titanic_stream", {"stream_kafka_conn_id": "kafka_stream"}),
    )
    log = strimzi_cluster.dags_test(core, ready, "titanic", known, *runs, seconds=900)
    assert "891 records delivered to titanic.passengers" in log
    assert re.search(r"891 records of titanic.events made 891 for titanic.statements, exactly once", log)
    assert re.search(r"891 rows and 0 rejects, each record of titanic.passengers once", log)
    for user in ("airflow", "titanic-stream"):
        assert core.read_namespaced_secret(user, ready["bigdata"]).data["user.key"] not in log
    assert "PRIVATE KEY" not in log
    assert store.secret_key not in log
