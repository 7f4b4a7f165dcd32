"""A client's credentials, as a kubeconfig and as a header."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import new_client_from_config_dict

from bigdata.spark.native.credentials import Credentials


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    found = {}
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text(f"the {name}")
        found[name] = str(tmp_path / name)
    return found


def decoded(text: str) -> str:
    return base64.b64decode(text).decode()


def parts(credentials: Credentials) -> tuple[dict[str, Any], dict[str, Any]]:
    found = json.loads(credentials.kubeconfig())
    return found["clusters"][0]["cluster"], found["users"][0]["user"]


def test_a_token_that_the_client_renews(files: dict[str, str]) -> None:
    tokens = iter(("Bearer one", "Bearer two"))
    configuration = Configuration()
    configuration.host, configuration.ssl_ca_cert = "https://api/", files["ca"]
    configuration.refresh_api_key_hook = lambda found: found.api_key.update(authorization=next(tokens))
    client = ApiClient(configuration)
    first, second = Credentials.of(client), Credentials.of(client)
    assert (first.authorization, second.authorization) == ("Bearer one", "Bearer two")
    assert "one" not in repr(first)
    cluster, user = parts(second)
    assert cluster["server"] == "https://api"
    assert decoded(cluster["certificate-authority-data"]) == "the ca"
    assert user == {"token": "two"}


def test_a_client_certificate(files: dict[str, str]) -> None:
    cluster, user = parts(
        Credentials("https://api", ca_file=files["ca"], certificate_file=files["cert"], key_file=files["key"])
    )
    assert decoded(user["client-certificate-data"]) == "the cert"
    assert decoded(user["client-key-data"]) == "the key"
    assert "insecure-skip-tls-verify" not in cluster


def test_a_password_and_no_verification() -> None:
    configuration = Configuration(host="http://api", username="me", password="pass:word")
    configuration.verify_ssl = False
    cluster, user = parts(Credentials.of(ApiClient(configuration)))
    assert cluster == {"server": "http://api", "insecure-skip-tls-verify": True}
    assert user == {"username": "me", "password": "pass:word"}


def test_the_kubeconfig_is_one_that_kubernetes_own_client_takes() -> None:
    text = Credentials("https://api", authorization="Bearer x").kubeconfig()
    client = new_client_from_config_dict(json.loads(text))
    assert Credentials.of(client) == Credentials("https://api", authorization="Bearer x")
