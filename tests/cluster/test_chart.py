"""The Airflow chart with the values of helm/, by real helm; CHART_AIRFLOW says where the chart is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import helm

pytestmark = pytest.mark.cluster
HELM = Path(__file__).parents[2] / "helm"
# What may happen to a pod's account token by these values: who needs no API server has none.
WITHOUT_TOKEN = {"airflow-dag-processor", "airflow-statsd", "airflow-create-user-job", "airflow-migrate-database-job"}


# The files beside custom_values.yaml, and what a private repository adds.
VARIANTS = {
    "local": (["local"], []),
    "eks": (["eks"], []),
    "git-bundle": (["local", "git-bundle"], []),
    "https": (["local"], ["dags.gitSync.credentialsSecret=git-credentials"]),
    "ssh": (["local"], ["dags.gitSync.sshKeySecret=git-ssh", "dags.gitSync.knownHosts=github.com ssh-ed25519 x"]),
}


@pytest.fixture(scope="module", params=VARIANTS)
def rendered(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    chart = helm.chart("CHART_AIRFLOW", "helm/custom_values.yaml")
    places, more = VARIANTS[request.param]
    files = [f"--values={HELM / name}" for name in ("custom_values.yaml", *(f"values-{it}.yaml" for it in places))]
    options = [f"--set={option}" for option in more]
    text = helm.helm("template", "airflow", chart, "--namespace", "airflow", *files, *options)
    return [item for item in yaml.safe_load_all(text) if item]


def pods(rendered: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each kind of pod that will be, the workers' too."""
    for item in rendered:
        if item["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield item["metadata"]["name"], item["spec"]["template"]["spec"]
        if item["kind"] == "CronJob":
            yield item["metadata"]["name"], item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        if item["kind"] == "ConfigMap" and (worker := item["data"].get("pod_template_file.yaml")):
            yield "worker", yaml.safe_load(worker)["spec"]


def test_all_pods_pass_the_restricted_profile(rendered: list[dict[str, Any]], restricted: str, core: Any) -> None:
    found = dict(pods(rendered))
    parts = ("api-server", "scheduler", "triggerer", "dag-processor")
    assert {"worker", *(f"airflow-{part}" for part in parts)} <= set(found)
    for name, spec in found.items():
        spec.pop("serviceAccountName", None)
        spec.pop("priorityClassName", None)
        core.create_namespaced_pod(restricted, {"metadata": {"name": name}, "spec": spec}, dry_run="All")


def test_git_sync_has_no_branch_but_the_one_that_is_named(rendered: list[dict[str, Any]]) -> None:
    containers = [it for _, spec in pods(rendered) for it in (*spec.get("initContainers", ()), *spec["containers"])]
    found = [{env["name"]: env.get("value") for env in it["env"]} for it in containers if "git-sync" in it["name"]]
    assert {(env["GIT_SYNC_BRANCH"], env["GIT_SYNC_REV"], env["GITSYNC_REF"]) for env in found} <= {("", "", "main")}


def test_the_chart_gives_rights_to_show_logs_and_to_clear_up(rendered: list[dict[str, Any]]) -> None:
    bindings = [item for item in rendered if item["kind"] in ("RoleBinding", "ClusterRoleBinding")]
    subjects = {subject["name"] for item in bindings for subject in item["subjects"]}
    assert subjects == {"airflow-api-server", "airflow-cleanup"}
    rules = [rule for item in rendered if item["kind"] in ("Role", "ClusterRole") for rule in item["rules"]]
    assert not [rule for rule in rules if {"pods/exec", "secrets", "*"} & {*rule["resources"], *rule["verbs"]}]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch", "delete"}


def test_who_needs_no_api_server_has_no_token(rendered: list[dict[str, Any]]) -> None:
    accounts = {item["metadata"]["name"]: item for item in rendered if item["kind"] == "ServiceAccount"}
    without = {name for name, item in accounts.items() if item.get("automountServiceAccountToken") is False}
    assert without == WITHOUT_TOKEN


def test_no_password_is_in_what_is_applied(rendered: list[dict[str, Any]]) -> None:
    assert not [item["metadata"]["name"] for item in rendered if item["kind"] == "Secret"]
    assert "password: admin" not in yaml.safe_dump_all(rendered)


def test_a_worker_has_connections_and_no_key_of_airflow_s_own(rendered: list[dict[str, Any]]) -> None:
    containers = {name: spec["containers"][0] for name, spec in pods(rendered)}
    assert containers["worker"]["envFrom"] == [{"secretRef": {"name": "airflow-connections"}}]

    def keys(name: str) -> set[str]:
        return {item["name"] for item in containers[name].get("env", ()) if "secretKeyRef" in item.get("valueFrom", {})}

    assert keys("worker") == set()
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in keys("airflow-scheduler")
    assert "AIRFLOW_CONN_AWS_CONN" in keys("airflow-api-server") & keys("airflow-triggerer")
    with_tokens = {name for name in containers if "AIRFLOW__API_AUTH__JWT_SECRET" in keys(name)}
    assert with_tokens == {"airflow-scheduler", "airflow-api-server"}


def test_workers_reach_the_api_server(rendered: list[dict[str, Any]]) -> None:
    policies = [item for item in rendered if item["kind"] == "NetworkPolicy"]
    (api_server,) = [item for item in policies if item["metadata"]["name"] == "airflow-api-server-policy"]
    (rule,) = api_server["spec"]["ingress"]
    assert {"podSelector": {"matchLabels": {"tier": "airflow"}}} in rule["from"]
    (worker,) = [spec for name, spec in pods(rendered) if name == "worker"]
    assert {container["name"] for container in worker["containers"]} == {"base"}
    maps = [item["data"] for item in rendered if item["kind"] == "ConfigMap"]
    (template,) = [data["pod_template_file.yaml"] for data in maps if "pod_template_file.yaml" in data]
    assert yaml.safe_load(template)["metadata"]["labels"]["tier"] == "airflow"
