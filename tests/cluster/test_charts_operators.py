"""The charts beside Airflow's, with the values of helm/, by real helm; CHART_<NAME> says where each chart is."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import helm

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Chart:
    """A chart as k8s/steps/charts.sh installs it."""

    release: str
    namespace: str
    variable: str
    values: str
    arguments: tuple[str, ...] = ()


CHARTS = {
    "spark": Chart("spark-operator", "spark-operator", "CHART_SPARK_OPERATOR", "helm/spark-operator.yaml"),
    "strimzi": Chart("strimzi", "strimzi", "CHART_STRIMZI", "helm/strimzi.yaml"),
    "flink": Chart("flink-operator", "flink-operator", "CHART_FLINK_OPERATOR", "helm/flink-operator.yaml"),
    "monitoring": Chart("monitoring", "monitoring", "CHART_MONITORING", "helm/kube-prometheus-stack.yaml"),
    "autoscaler": Chart(
        "cluster-autoscaler",
        "kube-system",
        "CHART_AUTOSCALER",
        "k8s/providers/eks-autoscaler.yaml",
        ("--set-string", "autoDiscovery.clusterName=bigdata", "--set-string", "awsRegion=eu-central-1"),
    ),
}
AIRFLOW = Chart(
    "airflow", "airflow", "CHART_AIRFLOW", "helm/custom_values.yaml", ("--values", str(ROOT / "helm/values-local.yaml"))
)
OPERATORS = ("spark", "strimzi", "flink")
# Kubernetes' own fields, or a program's: the chart takes any.
FREE = re.compile(r"(?i:securityContext|resources|extraArgs|nodeSelector)$")
# What an operator may do in the whole cluster, by resource. All else is for one namespace.
CLUSTER_WIDE: dict[str, dict[str, set[str]]] = {
    "spark": {
        "customresourcedefinitions": {"get"},
        "mutatingwebhookconfigurations": {"list", "watch", "get", "update"},
        "validatingwebhookconfigurations": {"list", "watch", "get", "update"},
    },
    "strimzi": {  # nodes and their zone, for racks
        "clusterrolebindings": {"get", "list", "watch", "create", "delete", "patch", "update"},
        "storageclasses": {"get"},
        "nodes": {"get", "list"},
    },
    "flink": {},
}


def where(chart: Chart) -> str:
    return helm.chart(chart.variable, chart.values)


@cache
def text(chart: Chart) -> str:
    options = ("--namespace", chart.namespace, "--values", str(ROOT / chart.values), *chart.arguments)
    # A helm that was built by hand takes itself for one of Kubernetes 1.20.
    return helm.helm("template", chart.release, where(chart), "--kube-version=1.34.0", *options)


def template(chart: Chart) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(text(chart)) if item]


def defaults(folder: Path) -> dict[str, Any]:
    """A chart's own values, under them those of its parts."""
    found: dict[str, Any] = yaml.safe_load((folder / "values.yaml").read_text()) or {}
    for part in sorted(folder.glob("charts/*/values.yaml")):
        found[part.parent.name] = over(defaults(part.parent), found.get(part.parent.name) or {})
    return found


def over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {key: over(below.get(key), above[key]) if key in above else below[key] for key in below | above}


def faults(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Keys that the chart does not know, and those that say what it would do anyway."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            name = f"{path}.{key}".lstrip(".")
            if key in theirs:
                yield from faults(value, theirs[key], name)
            elif not FREE.search(path.rpartition(".")[2]):
                yield f"{name}: the chart does not know it"
    elif ours == theirs:
        yield f"{path}: {ours!r} is the chart's own"


@pytest.mark.parametrize("name", CHARTS)
def test_each_value_is_one_that_the_chart_has_and_differs_from_its_own(name: str, tmp_path: Path) -> None:
    chart = Path(where(CHARTS[name]))
    if chart.is_file():
        subprocess.run(["tar", "-xzf", str(chart), "-C", str(tmp_path), "--strip-components=1"], check=True)
        chart = tmp_path
    ours = yaml.safe_load((ROOT / CHARTS[name].values).read_text())
    assert list(faults(ours, defaults(chart))) == []


@pytest.mark.parametrize("name", CHARTS)
def test_the_version_is_the_one_that_is_installed_and_told(name: str) -> None:
    version = yaml.safe_load(helm.helm("show", "chart", where(CHARTS[name])))["version"]
    steps, values = (ROOT / "k8s/steps/charts.sh").read_text(), (ROOT / CHARTS[name].values).read_text()
    (installed,) = re.findall(rf"{CHARTS[name].variable}:-}}\" \\\n.*--version (\S+)\"", steps)
    assert installed == version
    assert f"chart {version}" in values.partition("\n\n")[0]


def named(item: dict[str, Any]) -> str:
    return str(item["metadata"]["name"])


def pods(chart: Chart) -> list[dict[str, Any]]:
    kinds = ("Deployment", "StatefulSet", "DaemonSet", "Job")
    return [item["spec"]["template"] for item in template(chart) if item["kind"] in kinds]


@pytest.mark.parametrize("name", OPERATORS)
def test_the_operators_pass_the_restricted_profile(name: str, restricted: str, core: Any) -> None:
    found = pods(CHARTS[name])
    assert found
    for pod in found:
        pod["spec"].pop("serviceAccountName", None)
        body = {"metadata": {"name": "operator"}, "spec": pod["spec"]}
        core.create_namespaced_pod(restricted, body, dry_run="All")


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_has_rights_in_its_namespace_and_in_bigdata_alone(name: str) -> None:
    items = template(CHARTS[name])
    assert {item["metadata"]["namespace"] for item in items if item["kind"] == "RoleBinding"} == {
        CHARTS[name].namespace,
        "bigdata",
    }
    wide: dict[str, set[str]] = {}
    for item in items:
        if item["kind"] == "ClusterRoleBinding":
            (role,) = [
                role for role in items if role["kind"] == "ClusterRole" and named(role) == item["roleRef"]["name"]
            ]
            for rule in role["rules"]:
                for resource in rule["resources"]:
                    wide.setdefault(resource, set()).update(rule["verbs"])
    assert wide == CLUSTER_WIDE[name]


@pytest.mark.parametrize(
    ("name", "told", "namespaces"),
    [
        ("spark", r"--namespaces=(\S+)", "bigdata"),
        ("strimzi", r"name: STRIMZI_NAMESPACE\n\s+value: \"(\S+)\"", "bigdata,strimzi"),  # its own, whatever is said
        ("flink", r"\n *kubernetes.operator.watched.namespaces: (\S+)", "bigdata"),
    ],
    ids=OPERATORS,
)
def test_an_operator_watches_bigdata(name: str, told: str, namespaces: str) -> None:
    assert set(re.findall(told, text(CHARTS[name]))) == {namespaces}


@pytest.mark.parametrize("name", OPERATORS)
def test_accounts_and_roles_of_the_jobs_are_those_of_k8s_base(name: str) -> None:
    command = ["kubectl", "kustomize", str(ROOT / "k8s/base")]
    built = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    base = {(item["kind"], item["metadata"]["name"]) for item in yaml.safe_load_all(built)}
    items = template(CHARTS[name])
    here = [item for item in items if item["metadata"].get("namespace") == "bigdata"]
    assert not [item["metadata"]["name"] for item in here if item["kind"] == "ServiceAccount"]
    assert not {(item["kind"], item["metadata"]["name"]) for item in here} & base
    bindings = [item for item in items if item["kind"].endswith("RoleBinding")]
    bound = {(subject["namespace"], subject["name"]) for item in bindings for subject in item["subjects"]}
    assert {namespace for namespace, _ in bound} == {CHARTS[name].namespace}
    kept = [item for item in items if (item["metadata"].get("annotations") or {}).get("helm.sh/resource-policy")]
    assert kept == []


def monitors() -> dict[str, dict[str, Any]]:
    command = ["kubectl", "kustomize", str(ROOT / "k8s/monitoring")]
    built = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {item["metadata"]["name"]: item["spec"] for item in yaml.safe_load_all(built)}


@pytest.mark.parametrize(
    ("monitor", "chart"),
    [
        ("airflow", AIRFLOW),
        ("spark-operator", CHARTS["spark"]),
        ("flink-operator", CHARTS["flink"]),
        ("strimzi", CHARTS["strimzi"]),
    ],
    ids=["airflow", "spark", "flink", "strimzi"],
)
def test_each_monitor_finds_one_pod_and_its_port(monitor: str, chart: Chart) -> None:
    spec = monitors()[monitor]
    wanted = spec["selector"]["matchLabels"].items()
    (found,) = [pod["spec"] for pod in pods(chart) if wanted <= pod["metadata"]["labels"].items()]
    ports = {port.get("name") for container in found["containers"] for port in container.get("ports", ())}
    assert {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]} <= ports
    assert spec["namespaceSelector"]["matchNames"] == [chart.namespace]


def test_flink_s_operator_listens_on_the_port_that_is_told() -> None:
    items = template(CHARTS["flink"])
    (config,) = [item["data"]["flink-conf.yaml"] for item in items if item["kind"] == "ConfigMap"]
    (pod,) = pods(CHARTS["flink"])
    told = {port["containerPort"] for port in pod["spec"]["containers"][0]["ports"] if port["name"] == "metrics"}
    assert "reporter.prom.factory.class: org.apache.flink.metrics.prometheus.PrometheusReporterFactory" in config
    assert {int(port) for port in re.findall(r"reporter\.prom\.port: (\d+)", config)} == told
    # What the chart sets in the same text, which a text of ours replaces.
    assert "kubernetes.operator.reconcile.interval: 15 s" in config


def test_prometheus_reads_the_monitors_of_every_namespace_and_nobody_s_password_is_rendered() -> None:
    items = template(CHARTS["monitoring"])
    (spec,) = [item["spec"] for item in items if item["kind"] == "Prometheus"]
    for kind in ("podMonitor", "serviceMonitor", "rule", "probe", "scrapeConfig"):
        assert (spec[f"{kind}Selector"], spec[f"{kind}NamespaceSelector"]) == ({}, {}), kind
    (grafana,) = [
        item for item in items if item["kind"] == "Deployment" and item["metadata"]["name"] == "monitoring-grafana"
    ]
    named = {
        (source["secretKeyRef"]["name"], source["secretKeyRef"]["key"])
        for container in grafana["spec"]["template"]["spec"]["containers"]
        for env in container.get("env", ())
        if "secretKeyRef" in (source := env.get("valueFrom", {}))
    }
    assert named == {("grafana-admin", "username"), ("grafana-admin", "password")}
    assert "secret monitoring grafana-admin username " in (ROOT / "k8s/steps/secrets.sh").read_text()
    secrets = [item for item in items if item["kind"] == "Secret"]
    assert not [item for item in secrets if "password" in yaml.safe_dump(item.get("data", {}))]


def test_the_autoscaler_has_the_account_that_has_the_role() -> None:
    items = template(CHARTS["autoscaler"])
    (spec,) = [item["spec"]["template"]["spec"] for item in items if item["kind"] == "Deployment"]
    cluster = yaml.safe_load((ROOT / "k8s/providers/eks.yaml").read_text())
    roles_of = {item["serviceAccountName"] for item in cluster["iam"]["podIdentityAssociations"]}
    assert spec["serviceAccountName"] in roles_of
    (container,) = spec["containers"]
    assert container["image"].rpartition(":v")[2].startswith(cluster["metadata"]["version"])
    assert [arg for arg in container["command"] if arg.endswith("k8s.io/cluster-autoscaler/bigdata")]
