"""The provider's container_resources, beside what its own code makes of them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bigdata.spark.manifest.loading import load

from .forms import PI, wrap


@pytest.mark.parametrize(
    ("resources", "fields"),
    [
        ({"cpu": {"request": "2", "limit": 3}}, {"cores": 2, "coreLimit": "3"}),
        ({"cpu": {"request": 1.5, "limit": "1500m"}}, {"cores": 1, "coreLimit": "1500m"}),
        ({"memory": {"limit": "2Gi"}}, {"memory": "1462m"}),
        ({"memory": {"limit": "2G"}}, {"memory": "1462m"}),
        ({"memory": {"limit": "512m"}}, {"memory": "365m"}),
        ({"gpu": {"name": "nvidia.com/gpu", "quantity": "1"}}, {"gpu": {"name": "nvidia.com/gpu", "quantity": 1}}),
        ({"gpu": {"name": "nvidia.com/gpu", "quantity": 0}}, {}),
    ],
)
def test_container_resources_are_as_the_provider_computes_them(
    resources: dict[str, Any], fields: dict[str, Any]
) -> None:
    from airflow.providers.cncf.kubernetes.operators.custom_object_launcher import SparkResources

    theirs = SparkResources(copy.deepcopy(resources), copy.deepcopy(resources)).resources
    assert theirs == {"driver": fields, "executor": fields}
    before = load(PI).spec
    found = wrap({role: {"container_resources": resources} for role in theirs}).spec
    for role in theirs:
        assert found[role] == before[role] | fields


@pytest.mark.parametrize(
    ("resources", "fields"),
    [
        ({"cpu": {"request": "500m"}}, {"cores": 1, "coreRequest": "500m"}),
        ({"cpu": {"request": 0.5}}, {"cores": 1, "coreRequest": "0.5"}),
        ({"memory": {"limit": "512Mi"}}, {"memory": "365m"}),
    ],
)
def test_container_resources_that_fail_there_work_here(resources: dict[str, Any], fields: dict[str, Any]) -> None:
    spec = wrap({"executor": {"container_resources": resources}}).spec
    assert spec["executor"] == load(PI).spec["executor"] | fields
    assert spec["driver"] == load(PI).spec["driver"]


def test_container_resources_are_taken_in_a_plain_manifest_too() -> None:
    application = copy.deepcopy(PI)
    application["spec"]["driver"]["container_resources"] = {"memory": {"request": "1Gi", "limit": "2Gi"}}
    found = load(application)
    assert found.spec["driver"]["memory"] == "1462m"
    assert found.dropped == ("spec.driver.container_resources.memory.request",)
