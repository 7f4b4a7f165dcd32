"""The FlinkDeployment of docs/platform.md, as an API server and the bigdata namespace's profile take it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import kustomized, restricted

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def namespace(core: Any) -> Iterator[str]:
    with restricted.empty(core) as name:
        yield name


@pytest.fixture
def told(namespace: str) -> dict[str, Any]:
    """What the docs tell."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/platform.md").read_text(), re.DOTALL)
    (found,) = [item for item in map(yaml.safe_load, blocks) if item["kind"] == "FlinkDeployment"]
    assert found["metadata"].pop("namespace") == "bigdata"
    found["metadata"]["namespace"] = namespace
    return found


def test_it_is_of_the_kind_s_schema(told: dict[str, Any]) -> None:
    with kustomized.kinds("flink", "flinkdeployments.flink.apache.org"):
        (said,) = kustomized.apply(yaml.safe_dump(told), "--dry-run=server")
    assert said.endswith("serverside-applied (server dry run)")
    assert told["spec"]["job"]["parallelism"] > 0  # the operator refuses a job without
    assert told["spec"]["flinkVersion"] == "v{}_{}".format(*told["spec"]["image"].partition(":")[2].split("."))


def test_its_account_is_the_one_that_has_the_role(told: dict[str, Any]) -> None:
    base = list(yaml.safe_load_all(kustomized.build("base", {"airflow": "airflow", "bigdata": "bigdata"})))
    (binding,) = [item for item in base if item["kind"] == "RoleBinding" and item["metadata"]["name"] == "flink-job"]
    account = {"kind": "ServiceAccount", "name": told["spec"]["serviceAccount"], "namespace": "bigdata"}
    assert binding["subjects"] == [account]


def test_its_pods_pass_the_restricted_profile(told: dict[str, Any], namespace: str, core: Any) -> None:
    spec = told["spec"]["podTemplate"]["spec"]
    (container,) = spec["containers"]
    container["image"] = told["spec"]["image"]
    core.create_namespaced_pod(namespace, {"metadata": {"name": "flink"}, "spec": spec}, dry_run="All")
