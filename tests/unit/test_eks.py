"""EKS: what the DAGs use is what their accounts may use, and the files that name the same thing name it alike."""

from __future__ import annotations

import ast
import ipaddress
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from .test_helm_values import values

ROOT = Path(__file__).parents[2]
OBJECTS = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}
READ_LOGS = {"s3:ListBucket", "s3:GetObject"}
# What each account does: to the buckets of the data, and to that of the logs.
NEEDED = {
    ("airflow", "airflow-worker"): (OBJECTS | {"s3:ListBucket", "s3:CreateBucket"}, READ_LOGS | {"s3:PutObject"}),
    ("bigdata", "spark"): (OBJECTS | {"s3:ListBucket"}, set()),
    ("airflow", "airflow-triggerer"): (set(), READ_LOGS | {"s3:PutObject"}),
    ("airflow", "airflow-api-server"): (set(), READ_LOGS),
}


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return found


@pytest.fixture
def cluster() -> dict[str, Any]:
    return read("k8s/providers/eks.yaml")


def test_what_is_pulled_before_is_what_runs() -> None:
    found = yaml.safe_load_all((ROOT / "k8s/overlays/eks/prepull.yaml").read_text())
    pulled = {item["spec"]["template"]["spec"]["initContainers"][0]["image"] for item in found}
    manifests = [file.read_text() for file in (ROOT / "spark_jobs").glob("*.yaml")]
    airflow = values("eks")
    jobs = {name for text in manifests for name in re.findall(r"^  image: (\S+)", text, re.MULTILINE)}
    assert pulled == jobs | {f"{airflow['defaultAirflowRepository']}:{airflow['defaultAirflowTag']}"}


def data_buckets() -> set[str]:
    """The defaults of the DAGs' parameters that name a bucket."""
    found = set()
    for file in (ROOT / "dags").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and str(key.value).endswith("_bucket"):
                        assert isinstance(value, ast.Call)
                        found.add(ast.literal_eval(value.args[0]))
    return found


def log_bucket() -> str:
    return str(values("eks")["config"]["logging"]["remote_base_log_folder"].split("/")[2])


def allowed(cluster: dict[str, Any], namespace: str, account: str) -> set[tuple[str, str]]:
    (found,) = [
        item
        for item in cluster["iam"]["podIdentityAssociations"]
        if (item["namespace"], item["serviceAccountName"]) == (namespace, account)
    ]
    pairs = set()
    for statement in found["permissionPolicy"]["Statement"]:
        assert statement["Effect"] == "Allow"
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            pairs |= {(action, resource) for action in statement["Action"]}
    return pairs


def may(pairs: set[tuple[str, str]], action: str, bucket: str) -> bool:
    arn = f"arn:aws:s3:::{bucket}" + ("/some/key" if action in OBJECTS else "")
    return any(fnmatchcase(arn, resource) for what, resource in pairs if what == action)


def test_each_account_may_do_what_the_dags_do_and_to_no_other_bucket(cluster: dict[str, Any]) -> None:
    data = data_buckets()
    assert len(data) == 2
    for (namespace, account), (to_data, to_logs) in NEEDED.items():
        pairs = allowed(cluster, namespace, account)
        wanted = {(action, bucket) for bucket in data for action in to_data}
        wanted |= {(action, log_bucket()) for action in to_logs}
        assert [pair for pair in sorted(wanted) if not may(pairs, *pair)] == [], account
        for action in OBJECTS | {"s3:ListBucket", "s3:CreateBucket"}:
            others = {bucket for bucket in (*data, log_bucket(), "another") if may(pairs, action, bucket)}
            assert others == {bucket for what, bucket in wanted if what == action}, (account, action)


def test_the_workers_may_see_whether_a_bucket_is_there(cluster: dict[str, Any]) -> None:
    assert "list_buckets()" in (ROOT / "plugins" / "bigdata" / "storage" / "objects.py").read_text()
    assert ("s3:ListAllMyBuckets", "*") in allowed(cluster, "airflow", "airflow-worker")


def test_the_load_balancer_needs_nothing_that_is_not_installed_and_is_let_in(cluster: dict[str, Any]) -> None:
    api_server = values("eks")["apiServer"]
    assert api_server["service"]["annotations"] == {
        "service.beta.kubernetes.io/aws-load-balancer-type": "nlb",
        "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
    }
    (block,) = [item["ipBlock"]["cidr"] for item in api_server["networkPolicy"]["ingress"]["from"] if "ipBlock" in item]
    inner, outer = (ipaddress.ip_network(cidr) for cidr in (cluster["vpc"]["cidr"], block))
    assert inner.subnet_of(outer)  # type: ignore[arg-type]


def test_who_asks_for_a_pool_finds_it(cluster: dict[str, Any]) -> None:
    pools = {group["labels"]["pool"]: group for group in cluster["managedNodeGroups"]}
    asked = {values("eks")["nodeSelector"]["pool"], values("eks")["workers"]["kubernetes"]["nodeSelector"]["pool"]}
    asked.add(read("k8s/providers/eks-autoscaler.yaml")["nodeSelector"]["pool"])
    patches = read("k8s/overlays/eks/kafka/kustomization.yaml")["patches"]
    (patch,) = [patch["patch"] for patch in patches if patch["target"]["kind"] == "KafkaNodePool"]
    for change in yaml.safe_load(patch):
        (term,) = change["value"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        asked |= {value for rule in term["matchExpressions"] if rule["key"] == "pool" for value in rule["values"]}
    assert asked == {"core"}
    assert not pools["core"].get("spot")


def test_the_autoscaler_has_its_role_and_disks_their_driver(cluster: dict[str, Any]) -> None:
    account = read("k8s/providers/eks-autoscaler.yaml")["rbac"]["serviceAccount"]["name"]
    (found,) = [item for item in cluster["iam"]["podIdentityAssociations"] if item["serviceAccountName"] == account]
    assert (found["namespace"], found["wellKnownPolicies"]) == ("kube-system", {"autoScaler": True})
    addons = {addon["name"] for addon in cluster["addons"]}
    assert {"eks-pod-identity-agent", "aws-ebs-csi-driver"} <= addons
    assert cluster["addonsConfig"]["autoApplyPodIdentityAssociations"] is True
    assert cluster["iam"]["withOIDC"] is True
