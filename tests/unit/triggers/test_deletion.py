"""A deletion that does not go through at once: a server of the test's own, by real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bigdata.spark.naming import TRY
from bigdata.triggers import deletion

HANDLE = {"namespace": "here", "name": "it", "uid": "1", "created": 0.0, "try_number": "1"}


class Server:
    """Has one application, and does not answer as long as ``is_away``."""

    def __init__(self) -> None:
        self.is_away = False
        self.labels = {TRY: "1"}
        self.deleted: list[Any] = []
        self.reads = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.is_away:
            return web.Response(status=503)
        if request.method == "DELETE":
            only = (await request.json())["preconditions"]
            if only["resourceVersion"] != "5":
                return web.json_response({"message": "it has changed"}, status=409)
            self.deleted.append(only)
            return web.json_response({})
        self.reads += 1
        metadata = {"name": "it", "uid": "1", "resourceVersion": "5", "labels": self.labels}
        return web.json_response({"metadata": metadata})

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Any]:
        from kubernetes_asyncio.client import ApiClient, Configuration

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]

        class Here:
            @asynccontextmanager
            async def connect(self) -> AsyncIterator[Any]:
                async with ApiClient(Configuration(host=f"http://127.0.0.1:{port}")) as client:
                    yield client

        try:
            yield Here()
        finally:
            await runner.cleanup()


def test_it_goes_on_in_the_background_until_the_server_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "_ANSWER_SECONDS", 0.5)

    async def scenario() -> Server:
        server = Server()
        server.is_away = True
        async with server.serve() as here:
            await deletion.wait(deletion.begin(here, HANDLE))
            assert server.deleted == []
            server.is_away = False
            await asyncio.sleep(2.0)
        assert not deletion._running
        return server

    assert asyncio.run(scenario()).deleted == [{"resourceVersion": "5", "uid": "1"}]


@pytest.mark.parametrize("changed", [{"uid": "2"}, {"try_number": "2"}], ids=["a successor", "taken over"])
def test_what_is_not_meant_is_left_alone(changed: dict[str, str]) -> None:
    async def scenario() -> Server:
        server = Server()
        async with server.serve() as here:
            await deletion.wait(deletion.begin(here, HANDLE | changed))
        return server

    assert asyncio.run(scenario()).deleted == []


@pytest.mark.parametrize(("version", "reads"), [("5", 0), ("4", 1)], ids=["as it was", "changed"])
def test_what_is_known_needs_no_read(version: str, reads: int) -> None:
    async def scenario() -> Server:
        server = Server()
        async with server.serve() as here:
            await deletion.wait(deletion.begin(here, HANDLE, version=version))
        return server

    server = asyncio.run(scenario())
    assert (len(server.deleted), server.reads) == (1, reads)


def test_what_somebody_waits_for_is_left_alone() -> None:
    async def still_wanted() -> bool:
        return True

    async def scenario() -> Server:
        server = Server()
        async with server.serve() as here:
            await deletion.wait(deletion.begin(here, HANDLE, still_wanted))
        return server

    assert asyncio.run(scenario()).deleted == []


def test_it_asks_again_where_airflow_does_not_answer() -> None:
    answers = [OSError("the API server restarts"), False]

    async def is_wanted() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return bool(answer)

    async def scenario() -> Server:
        server = Server()
        async with server.serve() as here:
            await deletion.wait(deletion.begin(here, HANDLE, is_wanted))
        return server

    assert len(asyncio.run(scenario()).deleted) == 1
    assert answers == []
