"""A watch that is refused, or breaks, while the object can be read."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from bigdata.errors import ClusterError
from bigdata.kubernetes import watch
from bigdata.kubernetes.resources import Kind, Resources

from ..api_server import api_server

OBJECT = {"metadata": {"name": "it", "uid": "1", "resourceVersion": "5"}}
KIND = Kind("example.org", "v1", "Thing", "things")


def resources(url: str) -> Resources:
    return Resources(ApiClient(Configuration(host=url)), KIND, "here")


def test_a_role_without_watch_is_told_and_not_polled_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_PATIENCE", 2.0)
    reads = 0

    def answer(method: str, path: str, query: dict[str, str]) -> tuple[int, Any]:
        nonlocal reads
        if "watch" in query:
            return 403, {"message": 'things.example.org is forbidden: User "u" cannot watch resource "things"'}
        reads += 1
        return 200, OBJECT

    with api_server(answer) as url, pytest.raises(ClusterError, match="forbidden"):
        list(watch.follow(resources(url), "it", "1", threading.Event()))
    assert reads < 10


def test_a_watch_that_ends_and_one_that_breaks_are_taken_up() -> None:
    changed = {"metadata": OBJECT["metadata"] | {"resourceVersion": "6"}}
    watches: list[list[Any]] = [
        [],
        [{"type": "MODIFIED", "object": changed}, ConnectionResetError()],
        [{"type": "DELETED", "object": changed}],
    ]

    def answer(method: str, path: str, query: dict[str, str]) -> tuple[int, Any]:
        return (200, watches.pop(0)) if "watch" in query else (200, OBJECT)

    with api_server(answer) as url:
        seen = list(watch.follow(resources(url), "it", "1", threading.Event()))
    assert seen == [OBJECT, OBJECT, changed, OBJECT, None]
