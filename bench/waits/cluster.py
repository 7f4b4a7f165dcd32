"""A namespace of its own for the objects, and an account of its own for the triggerer, whose requests are counted."""

from __future__ import annotations

import re
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

# In its own namespace only.
RULES = [
    {"apiGroups": ["sparkoperator.k8s.io"], "resources": ["sparkapplications"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["pods", "pods/log", "events"], "verbs": ["*"]},
]
COUNTED = re.compile(
    r'^apiserver_flowcontrol_request_execution_seconds_count\{flow_schema="(.*?)",.*type="(\w+)"\} (\S+)', re.MULTILINE
)


class Cluster:
    """The cluster of KUBECONFIG. What it made is gone after the block."""

    def __init__(self) -> None:
        from kubernetes.client import CoreV1Api, CustomObjectsApi, FlowcontrolApiserverV1Api, RbacAuthorizationV1Api
        from kubernetes.config import new_client_from_config

        self._client = new_client_from_config()
        self.core, self.custom = CoreV1Api(self._client), CustomObjectsApi(self._client)
        self._rbac, self._flow = RbacAuthorizationV1Api(self._client), FlowcontrolApiserverV1Api(self._client)
        self.name = f"bench-{uuid.uuid4().hex[:8]}"
        self.port = urlsplit(self._client.configuration.host).port or 443

    def __enter__(self) -> Cluster:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        from kubernetes.client.exceptions import ApiException

        print("deleting what was made on the cluster", file=sys.stderr)
        with suppress(ApiException):
            self._flow.delete_flow_schema(self.name)
        with suppress(ApiException):
            self.core.delete_namespace(self.name)
        with suppress(ApiException):
            while self.core.read_namespace(self.name):
                time.sleep(1)

    def _make(self) -> None:
        name, meta = self.name, {"metadata": {"name": self.name}}
        self.core.create_namespace(meta)
        self.core.create_namespaced_service_account(name, meta)
        account = {"kind": "ServiceAccount", "name": name, "namespace": name}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        self._rbac.create_namespaced_role(name, meta | {"rules": RULES})
        self._rbac.create_namespaced_role_binding(name, meta | {"roleRef": role, "subjects": [account]})
        # The priority that service accounts have anyhow: this one counts, and changes nothing.
        spec = {
            "priorityLevelConfiguration": {"name": "workload-low"},
            "matchingPrecedence": 5000,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [{"kind": "ServiceAccount", "serviceAccount": {"name": name, "namespace": name}}],
                    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
                }
            ],
        }
        self._flow.create_flow_schema(meta | {"spec": spec})

    def write_config(self, file: Path) -> None:
        """Write a kubeconfig of the triggerer's account."""
        spec: dict[str, Any] = {"spec": {"expirationSeconds": 24 * 3600}}
        token = self.core.create_namespaced_service_account_token(self.name, self.name, spec).status.token
        configuration = self._client.configuration
        cluster = {"server": configuration.host, "certificate-authority": configuration.ssl_ca_cert}
        body = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bench", "cluster": cluster}],
            "users": [{"name": "bench", "user": {"token": token}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "current-context": "bench",
        }
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(body))

    def requests(self) -> int:
        """How many the triggerer has made so far, watches included, as this API server counts them."""
        answer = self._client.call_api("/metrics", "GET", auth_settings=["BearerToken"], _preload_content=False)
        return sum(int(float(count)) for name, _, count in COUNTED.findall(answer.data.decode()) if name == self.name)
