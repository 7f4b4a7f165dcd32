"""How often a shared watch asks a server that answers, but badly: a small one of the test's own, by real HTTP."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bigdata.kubernetes import shared_watch
from bigdata.kubernetes.resources import Kind
from bigdata.kubernetes.shared_watch import SharedWatch

Answer = Callable[["Server", web.Request], Awaitable[web.StreamResponse]]
OBJECT = {"metadata": {"name": "it", "uid": "1", "resourceVersion": "5", "managedFields": [{}]}}


class Server:
    """Lists one object, answers to the first watches as the test says, and is silent in the next."""

    watch: SharedWatch

    def __init__(self, answer: Answer, watches: int) -> None:
        self._answer, self.answered = answer, watches
        self.tokens: list[str] = []
        self.times: list[float] = []
        self.lists = 0

    @property
    def watches(self) -> int:
        return len(self.times)

    @property
    def gaps(self) -> list[float]:
        """Seconds from each watch to the next."""
        return [after - before for before, after in itertools.pairwise(self.times)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers["authorization"])
        if "watch" not in request.query:
            self.lists += 1
            return web.json_response({"metadata": {"resourceVersion": "7"}, "items": [OBJECT]})
        self.times.append(asyncio.get_running_loop().time())
        return await (self._answer if self.watches <= self.answered else be_silent)(self, request)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[list[Any]]:
        """What a waiter has been given, while this serves."""
        from kubernetes_asyncio.client import ApiClient, Configuration

        app = web.Application()
        app.router.add_get("/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        clients = 0

        @asynccontextmanager
        async def connect() -> AsyncIterator[Any]:
            nonlocal clients
            clients += 1
            configuration = Configuration(host=f"http://127.0.0.1:{port}")
            configuration.api_key["BearerToken"] = f"token-{clients}"
            async with ApiClient(configuration) as client:
                yield client

        watch = self.watch = SharedWatch(connect, Kind("example.org", "v1", "Thing", "things"), "here")
        seen: list[Any] = []

        async def wait() -> None:
            async for found in watch.follow("it", "1"):
                seen.append(found)

        task = asyncio.create_task(wait())
        try:
            yield seen
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await runner.cleanup()


def after(watches: int, answer: Answer) -> tuple[Server, list[Any]]:
    """The server and what a waiter was given, after so many watches have been answered."""

    async def scenario() -> tuple[Server, list[Any]]:
        server = Server(answer, watches)
        async with asyncio.timeout(60), server.watched() as seen:
            while server.watches <= watches:
                await asyncio.sleep(0.01)
            return server, list(seen)

    return asyncio.run(scenario())


async def events(request: web.Request, *found: dict[str, Any]) -> web.StreamResponse:
    """A watch that brings these and ends."""
    response = web.StreamResponse()
    await response.prepare(request)
    for item in found:
        await response.write(json.dumps(item).encode() + b"\n")
    return response


async def be_silent(server: Server, request: web.Request) -> web.StreamResponse:
    response = await events(request)
    await asyncio.sleep(60)
    return response


async def refuse(server: Server, request: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


async def end_at_once(server: Server, request: web.Request) -> web.StreamResponse:
    return await events(request)


async def expire(server: Server, request: web.Request) -> web.StreamResponse:
    return await events(request, {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}})


async def change(server: Server, request: web.Request) -> web.StreamResponse:
    version = str(10 + server.watches)
    metadata = OBJECT["metadata"] | {"resourceVersion": version}
    return await events(request, {"type": "MODIFIED", "object": {"metadata": metadata}})


@pytest.mark.parametrize("answer", [refuse, end_at_once, expire])
def test_pauses_grow_while_watches_bring_nothing(answer: Answer) -> None:
    server, seen = after(3, answer)
    assert [gap >= pause for gap, pause in zip(server.gaps, (0.2, 0.4, 0.8), strict=True)] == [True] * 3
    assert server.lists == (server.watches if answer is expire else 1)
    assert [found["metadata"]["resourceVersion"] for found in seen] == ["5"]


def test_pauses_stay_short_while_watches_bring_something() -> None:
    server, seen = after(7, change)
    assert max(server.gaps) < 6  # with pauses that double it would be 12.8
    assert server.lists == 1
    assert seen[-1]["metadata"]["resourceVersion"] == "17"


def test_each_watch_has_new_credentials_and_managed_fields_are_not_kept() -> None:
    server, seen = after(3, change)
    assert server.tokens[:2] == ["token-1", "token-1"]  # the list, and the watch from it
    assert server.tokens[2:] == [f"token-{number}" for number in range(2, server.watches + 1)]
    assert all("managedFields" not in found["metadata"] for found in seen)


def test_a_silent_connection_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(server: Server, request: web.Request) -> web.StreamResponse:
        return await (be_silent if server.watches == 1 else change)(server, request)

    monkeypatch.setattr(shared_watch, "_SILENCE_SECONDS", 0.5)
    _, seen = after(2, answer)
    assert seen[-1]["metadata"]["resourceVersion"] == "12"


BROKEN = {
    "a server that stops": (429, b"The apiserver is shutting down, please try again later."),
    "a load balancer's page": (503, b"<html><body>no server</body></html>\n"),
    "an error without a code": (500, b'{"kind": "Status", "message": "etcdserver: leader changed"}\n'),
    "a line that is cut": (200, b'{"type": "MODIFIED", "object": {"metadata": {"na'),
    "no object": (200, b'{"type": "MODIFIED", "object": {}}\n'),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_an_answer_that_is_no_event_is_asked_for_again(broken: str) -> None:
    status, body = BROKEN[broken]

    async def answer(server: Server, request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body) if server.watches < 3 else await change(server, request)

    _, seen = after(3, answer)
    assert seen[-1]["metadata"]["resourceVersion"] == "13"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_that_passes_is_waited_for(status: int) -> None:
    async def answer(server: Server, request: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "status": "Failure", "code": status, "reason": "Unauthorized", "message": "no"}
        refusal = {"type": "ERROR", "object": body}
        return await (events(request, refusal) if server.watches < 3 else change(server, request))

    _, seen = after(3, answer)
    assert seen[-1]["metadata"]["resourceVersion"] == "13"


def test_credentials_that_cannot_be_read_for_a_moment_are_waited_for() -> None:
    async def scenario() -> list[Any]:
        server, failures = Server(change, 3), iter([OSError("no such file"), ValueError("half a file")])
        async with asyncio.timeout(60), server.watched() as seen:
            connect = server.watch._connect

            @asynccontextmanager
            async def flaky() -> AsyncIterator[Any]:
                if error := next(failures, None):
                    raise error
                async with connect() as client:
                    yield client

            server.watch._connect = flaky
            while server.watches <= server.answered:
                await asyncio.sleep(0.01)
            return list(seen)

    assert asyncio.run(scenario())[-1]["metadata"]["resourceVersion"] == "13"


def test_what_lasts_is_raised_in_every_waiter() -> None:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        raise PermissionError("kubeconfig")
        yield

    async def scenario() -> list[Any]:
        watch = SharedWatch(connect, Kind("example.org", "v1", "Thing", "things"), "here", patience=0.5)
        waits = (anext(watch.follow(name, "1")) for name in ("one", "two"))
        return await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 5)

    assert [type(error) for error in asyncio.run(scenario())] == [PermissionError] * 2
