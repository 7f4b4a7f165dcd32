"""What a person reads when an API server refuses; the bodies are as real servers send them."""

from __future__ import annotations

import json

import pytest
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError

from bigdata.errors import ClusterError
from bigdata.kubernetes.errors import told

FORBIDDEN = (
    'sparkapplications.sparkoperator.k8s.io is forbidden: User "system:serviceaccount:airflow:worker" cannot create '
    'resource "sparkapplications" in API group "sparkoperator.k8s.io" in the namespace "jobs"'
)
DENIED = 'admission webhook "validate.example.org" denied the request: no such queue'
SILENT = 'Internal error occurred: failed calling webhook "mutate.example.org": connection refused'


def refusal(status: int, reason: str, body: str) -> ApiException:
    error = ApiException(status=status, reason=reason)
    error.body = body
    return error


@pytest.mark.parametrize(
    ("status", "body", "expected", "is_transient"),
    [
        (403, {"message": FORBIDDEN}, "forbidden: system:serviceaccount:airflow:worker may not create it here", False),
        (403, {"message": DENIED}, "refused by the webhook validate.example.org: no such queue", False),
        (500, {"message": SILENT}, "a webhook does not answer; is the operator running?", True),
        (404, "404 page not found\n", "the cluster does not know this kind: install the operator", False),
        (404, {"message": 'namespaces "jobs" not found'}, "create it, or name another", False),
        (401, {"message": "Unauthorized"}, "renew those of the connection", False),
        (503, {}, "503 Some", True),
        (422, {"message": "spec.type: Required value"}, "422 Some: spec.type: Required value", False),
    ],
)
def test_a_refusal_says_what_to_do(status: int, body: object, expected: str, is_transient: bool) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(ClusterError) as caught, told("sparkapplications jobs/etl"):
        raise refusal(status, "Some", text)
    assert str(caught.value).startswith("sparkapplications jobs/etl: ")
    assert expected in str(caught.value)
    assert (caught.value.status, caught.value.is_transient) == (status, is_transient)


def test_a_server_that_is_away_is_transient() -> None:
    with pytest.raises(ClusterError, match="does not answer") as caught, told("x"):
        raise MaxRetryError(None, "/", None)  # type: ignore[arg-type]
    assert caught.value.is_transient
    assert caught.value.status == 0
