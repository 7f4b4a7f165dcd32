"""Airflow's values: as the chart's schema wants them, of one version with the rest, and without a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
HELM = ROOT / "helm"
SCHEMA = ROOT.parent / "shared" / "schemas" / "airflow-chart-1.22.0.values.schema.json"
PLACES = ["", "local", "eks", "git-bundle"]


def values(place: str) -> dict[str, Any]:
    """What helm makes of the files."""
    found: dict[str, Any] = yaml.safe_load((HELM / "custom_values.yaml").read_text())
    return merged(found, yaml.safe_load((HELM / f"values-{place}.yaml").read_text())) if place else found


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for key, value in other.items():
        is_deep = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = merged(both[key], value) if is_deep else value
    return both


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, value


@pytest.mark.parametrize("place", PLACES)
def test_the_chart_s_schema(place: str) -> None:
    if not SCHEMA.is_file():
        pytest.skip(f"{SCHEMA.name} is not here")
    schema, found = json.loads(SCHEMA.read_text()), values(place)
    errors = jsonschema.Draft7Validator(schema).iter_errors(found)
    assert [f"{list(error.path)}: {error.message}" for error in errors] == []
    # The schema lets unknown keys pass at the top.
    assert set(found) <= set(schema["properties"])


def test_git_sync_takes_the_branch_that_is_named() -> None:
    """The chart's ``branch`` is git-sync 3's, and wins over ``ref`` in git-sync 4 unless it and ``rev`` are empty."""
    chosen = values("")["dags"]["gitSync"]
    assert (chosen["ref"], chosen["branch"], chosen["rev"]) == ("main", "", "")


def test_the_versions_are_those_of_the_lock_and_the_images() -> None:
    found = values("")
    locked = re.search(r"^apache-airflow==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert locked is not None
    dockerfile = (ROOT / "docker" / "airflow" / "Dockerfile").read_text()
    image = re.search(r"-t (\S+):(\S+) ", dockerfile)
    assert image is not None
    assert found["airflowVersion"] == found["defaultAirflowTag"] == locked[1] == image[2]
    assert found["defaultAirflowRepository"] == image[1]


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_in_a_file_and_each_that_is_named_is_made(place: str) -> None:
    made = (ROOT / "k8s" / "steps" / "secrets.sh").read_text()
    found = list(leaves(values(place)))
    for path, value in found:
        if re.search(r"(?i)password|token|private|accesskey", path):
            assert value in ("see the Secret airflow-admin", False), path
    named = {value for path, value in found if re.search(r"[sS]ecretName$|secretKeyRef\.name$", path)} - {"unused"}
    assert len(named) == 6
    assert [name for name in named if not re.search(rf"secret airflow {name} ", made)] == []


@pytest.mark.parametrize("file", sorted(HELM.glob("*.yaml")), ids=lambda file: file.name)
def test_each_file_says_what_it_is(file: Path) -> None:
    assert file.read_text().startswith("# ")
    assert isinstance(yaml.safe_load(file.read_text()), dict)
