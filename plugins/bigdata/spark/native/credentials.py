"""The credentials of a Kubernetes ApiClient, for what cannot use the client itself: spark-submit and the reaper."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Credentials:
    """How to reach an API server.

    :param authorization: the header's value, such as ``Bearer ...``; empty with a client certificate.
    :param ca_file: the authority's certificate; empty: the system's.
    :param certificate_file: of the client; empty with a header.
    :param key_file: its key.
    """

    server: str
    authorization: str = field(default="", repr=False)
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    verify: bool = True

    @classmethod
    def of(cls, api_client: Any) -> Credentials:
        """Those of a client as they are now; a token that expires is renewed by this."""
        found = api_client.configuration
        header = found.get_api_key_with_prefix("BearerToken", alias="authorization") or ""
        if not header and found.username:
            header = found.get_basic_auth_token()
        return cls(
            server=found.host.rstrip("/"),
            authorization=header,
            ca_file=found.ssl_ca_cert or "",
            certificate_file=found.cert_file or "",
            key_file=found.key_file or "",
            verify=bool(found.verify_ssl),
        )

    def kubeconfig(self) -> str:
        """The same as a kubeconfig that needs no other file."""
        cluster: dict[str, Any] = {"server": self.server}
        user: dict[str, Any] = {}
        if not self.verify:
            cluster["insecure-skip-tls-verify"] = True
        elif self.ca_file:
            cluster["certificate-authority-data"] = _encoded(self.ca_file)
        kind, _, value = self.authorization.partition(" ")
        if kind.lower() == "bearer":
            user["token"] = value
        elif kind.lower() == "basic":
            user["username"], _, user["password"] = base64.b64decode(value).decode().partition(":")
        if self.certificate_file:
            user["client-certificate-data"] = _encoded(self.certificate_file)
            user["client-key-data"] = _encoded(self.key_file)
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "it", "cluster": cluster}],
                "users": [{"name": "it", "user": user}],
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "current-context": "it",
            }
        )


def _encoded(file: str) -> str:
    return base64.b64encode(Path(file).read_bytes()).decode()
