"""What is in k8s/ as an API server takes it: built, and applied for real or, where nothing runs it here, dry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from . import kustomized

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def names(api_client: Any, core: Any) -> Iterator[dict[str, str]]:
    """Namespaces that exist, so that a dry run has where to look."""
    found = kustomized.names()
    for name in found.values():
        core.create_namespace({"metadata": {"name": name}})
    yield found
    for name in found.values():
        core.delete_namespace(name)


@pytest.mark.parametrize("overlay", ["local", "eks"])
def test_an_overlay(names: dict[str, str], overlay: str) -> None:
    said = kustomized.apply(kustomized.build(f"overlays/{overlay}", names), "--dry-run=server")
    assert len(said) > 15
    assert not [line for line in said if not line.endswith("serverside-applied (server dry run)")]


@pytest.mark.parametrize("overlay", ["local", "eks"])
def test_kafka(names: dict[str, str], strimzi: None, overlay: str) -> None:
    manifests = kustomized.build(f"overlays/{overlay}/kafka", names)
    with kustomized.applied(manifests):
        # And again, as a run after a failure does.
        assert {line.rpartition(" ")[2] for line in kustomized.apply(manifests)} == {"serverside-applied"}


def test_kafka_connect(names: dict[str, str], strimzi: None) -> None:
    said = kustomized.apply(kustomized.build("base/kafka/connect", names), "--dry-run=server")
    assert [line.split()[0].split(".")[0] for line in said] == ["kafkaconnect", "kafkaconnector"]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            {"kind": "KafkaNodePool", "spec": {"replicas": 1, "roles": ["boss"], "storage": {"type": "ephemeral"}}},
            "boss",
        ),
        (
            {"kind": "Kafka", "spec": {"kafka": {"metricsConfig": {"type": "jmxPrometheusExporter"}, "listeners": []}}},
            "valueFrom property is required",
        ),
    ],
)
def test_the_server_checks_what_it_gets(
    names: dict[str, str], strimzi: None, manifest: dict[str, Any], message: str
) -> None:
    """Or the tests above would pass for anything: enumerations, and the CRDs' own rules."""
    meta = {"metadata": {"name": "wrong", "namespace": names["bigdata"]}, "apiVersion": "kafka.strimzi.io/v1"}
    with pytest.raises(AssertionError, match=message):
        kustomized.apply(yaml.safe_dump(manifest | meta), "--dry-run=server")


@pytest.mark.parametrize(
    ("overlay", "pod"),
    [("local", "airflow-postgres"), ("local", "s3"), ("eks", "prepull-airflow"), ("eks", "prepull-spark")],
)
def test_pods_of_the_overlays_pass_the_restricted_profile(
    names: dict[str, str], core: Any, overlay: str, pod: str
) -> None:
    (found,) = [
        item
        for item in yaml.safe_load_all(kustomized.build(f"overlays/{overlay}", names))
        if item["kind"] in ("StatefulSet", "DaemonSet") and item["metadata"]["name"] == pod
    ]
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    core.patch_namespace(found["metadata"]["namespace"], label)
    spec = found["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "data", "emptyDir": {}}]
    body = {"metadata": {"name": pod}, "spec": spec}
    core.create_namespaced_pod(found["metadata"]["namespace"], body, dry_run="All")
