"""A namespace that enforces Pod Security "restricted", and single pods in it that cannot write to their root."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .conftest import SERVICE_ACCOUNT

SECURE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff")


@contextmanager
def empty(core: Any) -> Iterator[str]:
    """A namespace with nothing in it; gone afterwards."""
    name = f"restricted-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    yield name
    core.delete_namespace(name)


@contextmanager
def namespace(api_client: Any) -> Iterator[str]:
    """A namespace with the service account that drivers use; gone afterwards."""
    from kubernetes.client import CoreV1Api, RbacAuthorizationV1Api

    core = CoreV1Api(api_client)
    with empty(core) as name:
        core.create_namespaced_service_account(name, {"metadata": {"name": SERVICE_ACCOUNT}})
        RbacAuthorizationV1Api(api_client).create_namespaced_role_binding(
            name,
            {
                "metadata": {"name": SERVICE_ACCOUNT},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
                "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": name}],
            },
        )
        yield name


def output(core: Any, namespace: str, image: str, *args: str, user: int | None = None, **env: str) -> str:
    """What a pod of this image prints, that can write to /tmp alone; skips where the image cannot be had.

    :param args: for the image's own entrypoint.
    """
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(args),
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "securityContext": SECURE,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "resources": {"requests": {"cpu": "50m"}},
    }
    spec = {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    if user is not None:
        spec["securityContext"] |= {"runAsUser": user, "runAsGroup": 0}  # type: ignore[operator]
    name = f"pod-{uuid.uuid4().hex[:8]}"
    core.create_namespaced_pod(namespace, {"metadata": {"name": name}, "spec": spec})
    try:
        phase = _wait(core, namespace, name, image)
        log = core.read_namespaced_pod_log(name, namespace, _preload_content=False).data.decode()
    finally:
        core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
    assert phase == "Succeeded", log
    return log


def _wait(core: Any, namespace: str, name: str, image: str, seconds: float = 300.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = core.read_namespaced_pod_status(name, namespace).status
        waiting = [item.state.waiting for item in status.container_statuses or [] if item.state.waiting]
        if any(item.reason in _NO_IMAGE for item in waiting):
            pytest.skip(
                f"the image {image} is neither on the node nor can it be pulled: docs/images.md says how to build it"
            )
        if status.phase in ("Succeeded", "Failed"):
            return str(status.phase)
        time.sleep(1)
    raise AssertionError(f"{name} did not end within {seconds:.0f} s")
