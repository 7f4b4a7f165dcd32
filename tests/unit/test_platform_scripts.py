"""k8s/cluster.sh by what it calls: kubectl, helm and eksctl are scripts that write down their arguments."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
# A cluster that has every kind and every chart, and no Secret but $THERE.
TOOL = """#!/usr/bin/env bash
printf '%s\\n' "${0##*/} $*" >>"$CALLS"
case "${0##*/} $*" in
  *" get secret "*" --output "*) echo eA== ;;
  *" get secret "*) [ "${*: -1}" = "${THERE:-}" ] ;;
  *"get namespace "*) [ "${STATE:-}" != none ] ;;
  *"create -f -"*) cat >>"$CALLS.stdin" ;;
  *"get pv --output name"*) echo persistentvolume/x ;;
  helm*" status "*) [ "${STATE:-}" = none ] && exit 1; echo "{\\"info\\":{\\"status\\":\\"${STATE:-deployed}\\"}}" ;;
esac
"""
KINDS = Path(__file__).parents[3] / "shared" / "crds"


class Platform:
    """A copy of what the scripts need, and the tools that they call."""

    def __init__(self, folder: Path) -> None:
        self.root, self.tools, self.calls = folder / "project", folder / "bin", folder / "calls"
        shutil.copytree(ROOT / "k8s", self.root / "k8s")
        self.tools.mkdir()
        for name in ("kubectl", "helm", "eksctl", "kind"):
            path = self.tools / name
            path.write_text(TOOL)
            path.chmod(0o755)

    def run(self, *args: str, **env: str) -> list[str]:
        """What the tools were called with."""
        env = {"PATH": f"{self.tools}:{os.environ['PATH']}", "CALLS": str(self.calls), **env}
        command = ["bash", str(self.root / "k8s" / "cluster.sh"), *args]
        done = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        assert not done.returncode, done.stderr
        self.said = done.stdout + done.stderr
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def source(self, script: str, **env: str) -> str:
        """What the steps say, without the rest of cluster.sh."""
        steps = [f". k8s/steps/{name}.sh" for name in ("common", "provider", "secrets", "charts")]
        env = {"PATH": f"{self.tools}:{os.environ['PATH']}", "CALLS": str(self.calls), **env}
        command = ["bash", "-euo", "pipefail", "-c", "\n".join((*steps, script))]
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        return done.stdout


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path)


def first(calls: list[str], text: str) -> int:
    found = [number for number, call in enumerate(calls) if text in call]
    assert found, f"nothing called {text!r}"
    return found[0]


def deleted(calls: list[str]) -> list[str]:
    """The kinds that are deleted whole, in their order."""
    return [call.split()[4].partition(".")[0] for call in calls if " --all --wait" in call]


def test_up_has_what_each_step_needs(platform: Platform) -> None:
    components = "spark-operator strimzi flink-operator monitoring airflow"
    calls = platform.run("up", COMPONENTS=components, GIT_REPO="https://example.org/dags.git", STATE="none")
    charts = ("monitoring", "spark-operator", "flink-operator", "strimzi")
    base = first(calls, "-k k8s/base")  # the namespaces that the operators watch
    assert base < first(calls, "create -f -") < min(first(calls, f"upgrade --install {chart}") for chart in charts)
    steps = (
        *(
            "upgrade --install monitoring",
            "-k k8s/monitoring",
            "upgrade --install strimzi",
            "kustomize k8s/overlays/local",
        ),
        *("-k k8s/overlays/local/kafka", "wait kafka/kafka", "upgrade --install airflow"),
        "wait job/airflow-create-user",
    )
    found = [first(calls, text) for text in steps]
    assert found == sorted(found)
    assert "http://localhost:8080" in platform.said
    for name in ("monitoring", "strimzi"):  # made before, so that it is known to be ours
        label = first(calls, f"label namespace {name} app.kubernetes.io/part-of=bigdata")
        assert first(calls, f"create namespace {name}") < label < first(calls, f"upgrade --install {name}")


@pytest.mark.parametrize("repo", ["https://me:secret@example.org/dags.git", "dags", ""])
def test_a_repository_that_cannot_be_is_told_before_anything_is_made(platform: Platform, repo: str) -> None:
    with pytest.raises(AssertionError, match="GIT_REPO"):
        platform.run("up", GIT_REPO=repo)
    assert not platform.calls.exists()


@pytest.mark.parametrize(
    "repo", ["git@example.org:me/dags.git", "ssh://git@example.org/dags.git", "https://example.org/x"]
)
def test_a_repository_s_address_may_have_these_forms(platform: Platform, repo: str) -> None:
    assert platform.source("git_repo", GIT_REPO=repo).strip() == repo


@pytest.mark.parametrize(("registry", "policy"), [("", "Never"), ("registry.example.org/us", "")])
def test_without_a_registry_no_image_is_pulled(platform: Platform, registry: str, policy: str) -> None:
    calls = platform.run("up", COMPONENTS="airflow", GIT_REPO="https://example.org/x", IMAGE_REGISTRY=registry)
    installed = calls[first(calls, "upgrade --install airflow")]
    assert ("images.pod_template.pullPolicy=Never" in installed) == bool(policy)
    assert (f"defaultAirflowRepository={registry}/bigdata/airflow" in installed) == bool(registry)


def test_eks_wants_a_registry(platform: Platform) -> None:
    with pytest.raises(AssertionError, match="IMAGE_REGISTRY"):
        platform.run("up", "eks", GIT_REPO="https://example.org/x")
    assert not platform.calls.exists()


def test_down_lets_each_operator_finish_what_it_looks_after(platform: Platform) -> None:
    calls = platform.run("down", YES="1")
    airflow = first(calls, "uninstall airflow")
    assert airflow < first(calls, "--selector kubernetes_executor=True") < first(calls, "delete scheduledspark")
    last = max(number for number, call in enumerate(calls) if " --all --wait" in call)
    for operator in ("strimzi", "flink-operator", "spark-operator"):
        assert last < first(calls, f"uninstall {operator}") < first(calls, "delete -k k8s/base")
    assert first(calls, "uninstall strimzi") < first(calls, "delete clusterrolebinding strimzi-bigdata-kafka")
    assert calls[-1].startswith("kubectl delete namespaces --selector app.kubernetes.io/part-of=bigdata ")
    kinds = deleted(calls)
    before = [
        ("scheduledsparkapplications", "sparkapplications"),
        ("flinkbluegreendeployments", "flinkdeployments"),
        ("flinksessionjobs", "flinkdeployments"),
        ("flinkstatesnapshots", "flinkbluegreendeployments"),  # disposed of by a job that runs
        ("kafkaconnectors", "kafkaconnects"),
        ("kafkausers", "kafkas"),
        ("kafkatopics", "kafkas"),  # the finalizer is the topic operator's, which goes with the Kafka
        ("kafkarebalances", "kafkas"),
        ("kafkas", "kafkanodepools"),
    ]
    assert [pair for pair in before if kinds.index(pair[0]) > kinds.index(pair[1])] == []
    assert first(calls, "delete -k k8s/monitoring") < first(calls, "uninstall monitoring")


@pytest.mark.skipif(not KINDS.is_dir(), reason="the operators' CRDs are not here")
def test_down_leaves_no_kind_of_an_operator(platform: Platform) -> None:
    kinds = {file.name.partition(".")[0] for file in KINDS.glob("*/*.json") if "monitoring.coreos" not in file.name}
    made_by_strimzi = {"strimzipodsets"}
    assert set(deleted(platform.run("down", YES="1"))) == kinds - made_by_strimzi


def test_down_keeps_the_data_and_who_looks_after_it_unless_somebody_says_yes(platform: Platform) -> None:
    calls = platform.run("down")
    assert [call for call in calls if " uninstall " in call or " delete " in call] == []
    assert "All stays as it is." in platform.said


def test_down_of_a_cluster_of_ours_asks_first(platform: Platform) -> None:
    assert platform.run("down", "kind") == []
    assert platform.run("down", "kind", YES="1") == ["kind delete cluster --name bigdata"]


def test_down_on_eks_removes_disks_before_the_cluster(platform: Platform) -> None:
    calls = platform.run("down", "eks", YES="1")
    assert calls[0].startswith("eksctl utils write-kubeconfig")
    order = ("delete kafkas", "delete -k k8s/base", "wait pv --all", "eksctl delete cluster")
    assert [first(calls, text) for text in order] == sorted(first(calls, text) for text in order)
    assert calls[-1].startswith("eksctl delete cluster")


@pytest.mark.parametrize("components", ["airflow monitoring", "airflow"])
def test_monitors_come_with_monitoring_alone(platform: Platform, components: str) -> None:
    platform.source("if has monitoring; then install_monitoring; fi", COMPONENTS=components, WAIT="1m")
    calls = platform.calls.read_text().splitlines() if platform.calls.exists() else []
    applied = [call for call in calls if call == "kubectl apply --server-side -k k8s/monitoring"]
    assert len(applied) == ("monitoring" in components)
    if applied:  # whose kind the chart brings
        assert first(calls, "upgrade --install monitoring") < calls.index(applied[0])


@pytest.mark.parametrize(
    ("state", "first_of_all"),
    [
        ("none", None),
        ("deployed", None),
        ("failed", None),  # helm goes on from there
        ("pending-install", "uninstall"),
        ("uninstalling", "uninstall"),
        ("pending-upgrade", "rollback"),
    ],
)
def test_what_a_helm_that_was_killed_has_left(platform: Platform, state: str, first_of_all: str | None) -> None:
    platform.source("install_strimzi", STATE=state, WAIT="1m")
    calls = [call.split()[3:5] for call in platform.calls.read_text().splitlines() if call.startswith("helm")]
    assert calls[0] == ["status", "strimzi"]
    assert [call[0] for call in calls[1:-1]] == ([first_of_all] if first_of_all else [])


@pytest.mark.parametrize("overlay", ["local", "eks"])
def test_no_password_is_an_argument_or_shown(platform: Platform, overlay: str) -> None:
    settings = {"COMPONENTS": "monitoring", "OVERLAY": overlay, "AWS_REGION": "eu-north-1"}
    there = "airflow-metadata" if overlay == "eks" else ""
    said = platform.source('of_secret() { echo "of-$2-$3"; }; make_secrets', **settings, THERE=there)
    made = [item for item in platform.calls.with_suffix(".stdin").read_text().split("apiVersion: v1\n") if item]
    values = [base64.b64decode(text).decode() for item in made for text in yaml.safe_load(item)["data"].values()]
    secret = [text for text in values if text not in ("admin", "bigdata", "admin@example.org")]
    assert len(secret) >= 8
    shown = platform.calls.read_text() + said
    assert [text for text in secret if text in shown or base64.b64encode(text.encode()).decode() in shown] == []


def test_what_the_eks_steps_read_from_the_cluster_s_file(platform: Platform) -> None:
    said = platform.source("of_eks name; of_eks region")
    metadata = yaml.safe_load((ROOT / "k8s" / "providers" / "eks.yaml").read_text())["metadata"]
    assert said.split() == [metadata["name"], metadata["region"]]


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck() -> None:
    scripts = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "k8s").rglob("*.sh"))]
    done = subprocess.run(["shellcheck", "-x", *scripts], cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout
