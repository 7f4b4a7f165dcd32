"""One watch for any number of waiters on objects of one kind in one namespace, in one event loop.

Contract. The objects are listed, then watched from the list's version on, so no state that lasts is missed between the
two. A broken connection is taken up at the last version seen, after a pause that grows until a watch brings something
or lasts; a version that has expired (410) leads to a new list. A connection that is silent, without even the bookmarks
that the server sends each minute, counts as broken. Each watch asks for a client anew, as a client keeps the
credentials that it was made with, and those of some clusters last minutes.

A waiter is given the object, without its spec, as it is when it comes, and again whenever it has changed; of changes
that follow each other faster than the waiter asks, it sees the last. An object that is gone, or whose successor has its
name, is told as None. What no waiting heals (forbidden, a kind that the cluster does not know) is raised in every
waiter. The watch ends when its last waiter has left.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.errors import async_told
from bigdata.kubernetes.resources import Kind, Object

log = logging.getLogger(__name__)

_WATCH_SECONDS = 300
_SILENCE_SECONDS = 90
_REQUEST_SECONDS = 30
_PAGE = 500
_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0

# Makes a kubernetes_asyncio ``ApiClient``; called anew for each connection, as credentials may have been renewed.
Connect = Callable[[], AbstractAsyncContextManager[Any]]


class Waiter:
    """One who waits for one object."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._latest: Object | None = None
        self._error: Exception | None = None

    def tell(self, found: Object | None) -> None:
        """Give the object as it is now."""
        self._latest = found
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """Let the next wait raise."""
        self._error = error
        self._changed.set()

    async def next(self) -> Object | None:
        """The object as it is now, once it has changed since the last call."""
        await self._changed.wait()
        self._changed.clear()
        if self._error:
            raise self._error
        return self._latest


class SharedWatch:
    """See the module.

    :param selector: a label selector that all objects waited for must match; what does not is not transferred.
    :param patience: seconds for which a refusal, or a connection that cannot be had, must last before it is raised.
    """

    def __init__(
        self, connect: Connect, kind: Kind, namespace: str, selector: str = "", patience: float = 120.0
    ) -> None:
        self._patience = patience
        self._connect, self._kind, self._namespace, self._selector = connect, kind, namespace, selector
        self._objects: dict[str, Object] = {}
        self._waiters: dict[str, set[Waiter]] = {}
        self._is_synced = False
        self._version = ""
        self._events = 0
        self._task: asyncio.Task[None] | None = None
        self.lists = 0

    async def follow(self, name: str, uid: str) -> AsyncIterator[Object | None]:
        """Yield the object as it is, and again at each change; None when it is gone, which is the end.

        :param uid: of the object that is meant.
        :raises ClusterError: the server refuses to show objects of this kind.
        """
        waiter = self._enter(name)
        try:
            while True:
                found = await waiter.next()
                if found is None or found["metadata"]["uid"] != uid:
                    # One that was made after the list began may not be known yet: a read decides.
                    found = await self._read(name)
                    if found is None or found["metadata"]["uid"] != uid:
                        yield None
                        return
                yield found
        finally:
            self._leave(name, waiter)

    async def observe(self, name: str) -> AsyncIterator[Object | None]:
        """Yield whichever object has the name, and again at each change; None while there is none. Endless.

        :raises ClusterError: the server refuses to show objects of this kind.
        """
        waiter = self._enter(name)
        try:
            while True:
                yield await waiter.next()
        finally:
            self._leave(name, waiter)

    @property
    def waiters(self) -> int:
        """How many wait now."""
        return sum(map(len, self._waiters.values()))

    def _enter(self, name: str) -> Waiter:
        waiter = Waiter()
        self._waiters.setdefault(name, set()).add(waiter)
        if self._is_synced:
            waiter.tell(self._objects.get(name))
        if self._task is None or self._task.done():
            # In a context of its own: what it logs is no line of the one task that came first.
            what, own = f"watch {self._kind} in {self._namespace}", contextvars.Context()
            self._task = asyncio.create_task(self._run(), name=what, context=own)
        return waiter

    def _leave(self, name: str, waiter: Waiter) -> None:
        self._waiters[name].discard(waiter)
        if not self._waiters[name]:
            del self._waiters[name]
        if not self._waiters and self._task:
            self._task.cancel()
            self._task, self._is_synced, self._version = None, False, ""
            self._objects.clear()

    async def _run(self) -> None:
        loop, pause = asyncio.get_running_loop(), _SHORTEST_PAUSE
        bad_since: float | None = None
        while True:
            events, start = self._events, loop.time()
            try:
                async with self._connect() as client:
                    self._version = self._version or await self._list(client)
                    await self._watch(client)
                bad_since = None
            except Exception as error:
                is_heard = self._events > events
                bad_since = loop.time() if is_heard or bad_since is None else bad_since
                if getattr(error, "status", 0) == 410:
                    self._version = ""
                elif self._is_hopeless(error, loop.time() - bad_since):
                    self._fail(error)
                    return
                else:
                    log.warning("%s: %s; trying again", self._what(), error)
            # A server may also take each watch and end it at once.
            if self._events > events or loop.time() - start > _LONGEST_PAUSE:
                pause = _SHORTEST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _is_hopeless(self, error: Exception, seconds: float) -> bool:
        """A refusal may be a moment's trouble of the server, and so may be credentials that cannot be read."""
        return not (isinstance(error, ClusterError) and error.is_transient) and seconds >= self._patience

    def _fail(self, error: Exception) -> None:
        self._is_synced, self._version = False, ""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.fail(error)

    async def _list(self, client: Any) -> str:
        found: dict[str, Object] = {}
        following = ""
        while True:
            page = await self._ask(
                self._api(client).list_namespaced_custom_object,
                label_selector=self._selector,
                limit=_PAGE,
                **({"_continue": following} if following else {}),
            )
            found |= {item["metadata"]["name"]: _kept(item) for item in page["items"]}
            following = page["metadata"].get("continue") or ""
            if not following:
                break
        self.lists += 1
        before, self._objects, was_synced = self._objects, found, self._is_synced
        self._is_synced = True
        for name in self._waiters:
            if not was_synced or _version(before.get(name)) != _version(found.get(name)):
                self._tell(name)
        return str(page["metadata"]["resourceVersion"])

    async def _watch(self, client: Any) -> None:
        from aiohttp import ClientTimeout
        from kubernetes_asyncio.watch import Watch

        timeout = ClientTimeout(total=_WATCH_SECONDS + 30, sock_connect=_REQUEST_SECONDS, sock_read=_SILENCE_SECONDS)
        with async_told(self._what()):
            async with Watch().stream(
                self._api(client).list_namespaced_custom_object,
                self._kind.group,
                self._kind.version,
                self._namespace,
                self._kind.plural,
                label_selector=self._selector,
                resource_version=self._version,
                allow_watch_bookmarks=True,
                timeout_seconds=_WATCH_SECONDS,
                _request_timeout=timeout,
            ) as stream:
                async for event in stream:
                    found = self._object(event)
                    self._events += 1
                    self._version = found["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._changed(event["type"], found)

    def _object(self, event: Any) -> Object:
        """The object of an event; the client gives on whatever a server, or what stands before it, has answered."""
        found = event.get("raw_object") if isinstance(event, dict) else event
        if not isinstance(found, dict) or not (found.get("metadata") or {}).get("resourceVersion"):
            raise ClusterError(self._what(), f"no event of a watch: {str(found)[:200]}", is_transient=True)
        return found

    def _changed(self, what: str, found: Object) -> None:
        name = found["metadata"]["name"]
        if what == "DELETED":
            self._objects.pop(name, None)
        else:
            self._objects[name] = _kept(found)
        self._tell(name)

    def _tell(self, name: str) -> None:
        for waiter in self._waiters.get(name, ()):
            waiter.tell(self._objects.get(name))

    async def _read(self, name: str) -> Object | None:
        loop, pause = asyncio.get_running_loop(), _SHORTEST_PAUSE
        began = loop.time()
        while True:
            try:
                async with self._connect() as client:
                    found: Object = await self._ask(self._api(client).get_namespaced_custom_object, name=name)
                    return found
            except Exception as error:
                if getattr(error, "status", 0) == 404:
                    return None
                if self._is_hopeless(error, loop.time() - began):
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _ask(self, call: Callable[..., Awaitable[Any]], **options: Any) -> Any:
        where = (self._kind.group, self._kind.version, self._namespace, self._kind.plural)
        with async_told(self._what()):
            return await call(*where, _request_timeout=_REQUEST_SECONDS, **options)

    def _what(self) -> str:
        return f"{self._kind} in {self._namespace}"

    @staticmethod
    def _api(client: Any) -> Any:
        from kubernetes_asyncio.client import CustomObjectsApi

        return CustomObjectsApi(client)


def _version(found: Object | None) -> str:
    return str(found["metadata"]["resourceVersion"]) if found else ""


def _kept(found: Object) -> Object:
    """The object without what no waiter reads: its spec, and the record of who set which field."""
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    return {key: value for key, value in found.items() if key != "spec"} | {"metadata": metadata}
