"""Custom resources on a real API server, in a namespace that no operator watches."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bigdata.kubernetes.resources import Resources
from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION

from .operated import application

pytestmark = pytest.mark.cluster


@pytest.fixture
def resources(api_client: Any, namespace: str) -> Resources:
    return Resources(api_client, SPARK_APPLICATION, namespace)


def test_a_name_is_created_once(resources: Resources) -> None:
    body = application().to_dict()
    made, is_new = resources.create(body)
    found, is_second = resources.create(body)
    assert (is_new, is_second) == (True, False)
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert resources.delete(body["metadata"]["name"], "another-uid")
    assert resources.read(body["metadata"]["name"])
    assert resources.delete(body["metadata"]["name"], made["metadata"]["uid"])
    assert resources.read(body["metadata"]["name"]) is None


def test_a_name_that_is_being_deleted_is_waited_for(resources: Resources) -> None:
    body = application().to_dict()
    name = body["metadata"]["name"]
    body["metadata"]["finalizers"] = ["example.org/hold"]
    first, _ = resources.create(body)
    assert not resources.delete(name, wait=0)
    threading.Timer(2, resources.patch, (name, {"metadata": {"finalizers": None}})).start()
    del body["metadata"]["finalizers"]
    second, is_new = resources.create(body)
    assert is_new
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert resources.delete(name)
