"""The process that deletes a pod when its task is dead, against an HTTP server in the API server's place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from bigdata.spark.native.reaper import Reaper

from ....waiting import soon


class Api:
    """An API server that keeps the requests it gets, and answers them with codes."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.codes: list[int] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_DELETE(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.requests.append((self.path, self.headers.get("Authorization", ""), body))
                self.send_response(api.codes.pop(0) if api.codes else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v1/namespaces/n/pods/p"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.server.shutdown()
    api.server.server_close()


def test_dismissed_it_does_nothing(api: Api) -> None:
    reaper = Reaper()
    reaper.watch(api.url, uid="u", authorization="Bearer x")
    reaper.dismiss()
    reaper.dismiss()
    assert api.requests == []


def test_a_task_killed_by_sigkill_costs_its_pod_with_the_newest_token(api: Api) -> None:
    code = f"""
import time
from bigdata.spark.native.reaper import Reaper
reaper = Reaper()
reaper.watch({api.url!r}, uid="", authorization="Bearer old")
reaper.watch({api.url!r}, uid="u", authorization="Bearer new")
print("up", flush=True)
time.sleep(600)
"""
    api.codes = [500, 200]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    task = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert task.stdout
    assert task.stdout.readline() == b"up\n"
    os.kill(task.pid, signal.SIGKILL)
    task.wait()
    # Once more after the error, and never again after the success.
    assert soon(lambda: len(api.requests) == 2)
    time.sleep(3)
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u"}}
    assert api.requests == [("/api/v1/namespaces/n/pods/p", "Bearer new", options)] * 2


def test_a_submission_under_way_is_waited_for(api: Api) -> None:
    reaper = Reaper()
    reaper.watch(api.url, uid="")
    api.codes = [404, 200]
    reaper.let_go()
    process = reaper._process
    assert soon(lambda: len(api.requests) >= 2)
    process.kill()
    process.wait()


def test_without_a_pod_to_watch_it_just_ends() -> None:
    reaper = Reaper()
    reaper.let_go()
    assert reaper._process.wait(20) == 0
