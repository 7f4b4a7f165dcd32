"""What is in k8s/, built by kustomize, with namespaces of a test's own in place of ``airflow`` and ``bigdata``."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..waiting import soon

K8S = Path(__file__).parents[2] / "k8s"
CRDS = Path(__file__).parents[3] / "shared" / "crds"


def names() -> dict[str, str]:
    """Namespaces that nobody else has, by those in the manifests."""
    suffix = uuid.uuid4().hex[:8]
    return {name: f"{name}-{suffix}" for name in ("airflow", "bigdata")}


def build(folder: str, namespaces: Mapping[str, str]) -> str:
    """The manifests of a folder.

    :param namespaces: other names for those in the manifests.
    """
    command = ["kubectl", "kustomize", str(K8S / folder)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return yaml.safe_dump_all(_renamed(item, namespaces) for item in yaml.safe_load_all(found))


def apply(manifests: str, *options: str) -> list[str]:
    """Apply manifests; gives what the API server said of each."""
    command = ["kubectl", "apply", "--server-side", "--filename", "-", *options]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


@contextmanager
def applied(manifests: str) -> Iterator[None]:
    """Apply manifests, and delete them at the end."""
    apply(manifests)
    try:
        yield
    finally:
        command = ["kubectl", "delete", "--filename", "-", "--ignore-not-found", "--wait=false"]
        subprocess.run(command, input=manifests, text=True, check=True, capture_output=True)


@contextmanager
def kinds(operator: str, *names: str) -> Iterator[None]:
    """An operator's kinds; those of the cluster, where it has them.

    :param names: of the CRDs that are needed.
    """
    known = subprocess.run(["kubectl", "get", "crd", *names], capture_output=True, check=False)
    if not known.returncode:
        yield
        return
    folder = CRDS / operator
    if not folder.is_dir():
        pytest.skip(f"the CRDs of {operator} are neither in the cluster nor at hand")
    try:
        subprocess.run(["kubectl", "apply", "--server-side", "-f", str(folder)], check=True, capture_output=True)
        # kubectl wait gives up on one that has no conditions yet.
        assert soon(lambda: all(_established(name) for name in names), 30)
        yield
    finally:
        subprocess.run(["kubectl", "delete", "--ignore-not-found", "-f", str(folder)], check=True, capture_output=True)


def _established(name: str) -> bool:
    """Does the API server serve this CRD's kind?"""
    wanted = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'
    command = ["kubectl", "get", "crd", name, "--output", wanted]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout == "True"


def _renamed(item: dict[str, Any], namespaces: Mapping[str, str]) -> dict[str, Any]:
    metadata = item["metadata"]
    if item["kind"] == "Namespace":
        metadata["name"] = namespaces[metadata["name"]]
    for place in (metadata, *item.get("subjects", ())):
        if "namespace" in place:
            place["namespace"] = namespaces[place["namespace"]]
    return item
