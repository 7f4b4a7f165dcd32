"""Following a pod through an API server that goes away and comes back: no line is lost or doubled."""

from __future__ import annotations

import copy
import socket
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from bigdata.errors import SubmitError
from bigdata.spark.driver.pod_watch import PodWatch
from bigdata.spark.driver.pods import PodState
from bigdata.spark.runtime import Phase

from .operated import IMAGE

pytestmark = pytest.mark.cluster


class Line:
    """A line to the API server that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: list[socket.socket] = []
        self._is_cut = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        self._is_cut = True
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._open.clear()
        time.sleep(seconds)
        self._is_cut = False

    def _accept(self) -> None:
        while True:
            client, _ = self._server.accept()
            if self._is_cut:
                client.close()
                continue
            server = socket.create_connection(self._target)
            self._open += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)


def through(api_client: Any, line: Line) -> Any:
    """A CoreV1Api that takes the line."""
    from kubernetes.client import ApiClient, CoreV1Api

    configuration = copy.copy(api_client.configuration)
    configuration.tls_server_name = urlsplit(configuration.host).hostname
    configuration.host = f"https://127.0.0.1:{line.port}"
    return CoreV1Api(ApiClient(configuration))


def pod(core: Any, namespace: str, code: str, name: str) -> Any:
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", code],
    }
    body = {"metadata": {"name": name}, "spec": {"containers": [container], "restartPolicy": "Never"}}
    return core.create_namespaced_pod(namespace, body)


def test_a_line_that_is_cut_again_and_again(api_client: Any, core: Any, namespace: str) -> None:
    code = """
import time
for i in range(2000):
    print("line", i)
    time.sleep(0.05 if i % 7 == 0 else 0)
print("no end", end="")
"""
    created = pod(core, namespace, code, "talker")
    server = urlsplit(api_client.configuration.host)
    line = Line(server.hostname or "", server.port or 443)
    watch = PodWatch(through(api_client, line), namespace, "talker", created.metadata.uid, "main")
    got: list[str] = []
    states: list[PodState] = []
    cutter = threading.Thread(target=lambda: [(time.sleep(1.5), line.cut(1.0)) for _ in range(5)])
    cutter.start()
    for event in watch.events(tick=1.0):
        if isinstance(event, str):
            got.append(event)
        elif event:
            states.append(event)
    cutter.join()
    core.delete_namespaced_pod("talker", namespace, grace_period_seconds=0)
    assert got == [*(f"line {index}" for index in range(2000)), "no end"]
    assert states[-1].phase == Phase.SUCCEEDED
    assert [state.phase for state in states][:1] == [Phase.PENDING]


def test_another_pod_of_the_same_name_is_not_followed(core: Any, namespace: str) -> None:
    created = pod(core, namespace, "print('hello')", "other")
    watch = PodWatch(core, namespace, "other", "an-older-uid", "main")
    events = [event for event in watch.events(tick=1.0) if event]
    core.delete_namespaced_pod("other", namespace, grace_period_seconds=0)
    assert created.metadata.uid
    assert [event.phase for event in events if isinstance(event, PodState)] == [Phase.GONE]
    assert not [event for event in events if isinstance(event, str)]


def test_a_server_that_refuses_is_told(api_client: Any, namespace: str) -> None:
    from kubernetes.client import ApiClient, Configuration, CoreV1Api

    configuration = Configuration()
    configuration.host, configuration.ssl_ca_cert = api_client.configuration.host, api_client.configuration.ssl_ca_cert
    configuration.api_key = {"authorization": "Bearer nonsense"}
    watch = PodWatch(CoreV1Api(ApiClient(configuration)), namespace, "x", "u", "main")
    with pytest.raises(SubmitError, match=f"the API server refuses to show pod {namespace}/x: Unauthorized"):
        list(watch.events(tick=1.0))
