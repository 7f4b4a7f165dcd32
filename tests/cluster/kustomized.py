"""What is in k8s/, built by kustomize, with namespaces of a test's own in place of ``airflow`` and ``bigdata``."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).parents[2] / "k8s"


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


def _renamed(item: dict[str, Any], namespaces: Mapping[str, str]) -> dict[str, Any]:
    metadata = item["metadata"]
    if item["kind"] == "Namespace":
        metadata["name"] = namespaces[metadata["name"]]
    for place in (metadata, *item.get("subjects", ())):
        if "namespace" in place:
            place["namespace"] = namespaces[place["namespace"]]
    return item
