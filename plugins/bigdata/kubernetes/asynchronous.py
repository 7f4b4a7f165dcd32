"""Single requests by the asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

from bigdata.errors import ClusterError
from bigdata.kubernetes.errors import async_told
from bigdata.kubernetes.resources import Kind, Object

_PIECE = 64 * 1024
_SECONDS = 10
# A long log may take its time, as long as some of it comes.
_SILENT_SECONDS = 60
# Requests of one client; a thousand that come at once would open all the connections that its pool allows.
_AT_ONCE = 8
_turns: WeakKeyDictionary[Any, asyncio.Semaphore] = WeakKeyDictionary()


class AsyncResources:
    """The objects of one kind in one namespace.

    :param client: a ``kubernetes_asyncio`` ``ApiClient``.
    """

    def __init__(self, client: Any, kind: Kind, namespace: str) -> None:
        from kubernetes_asyncio.client import CustomObjectsApi

        self._turn = _turns.setdefault(client, asyncio.Semaphore(_AT_ONCE))
        self._api, self._what = CustomObjectsApi(client), f"{kind} {namespace}"
        self._where = (kind.group, kind.version, namespace, kind.plural)

    async def read(self, name: str) -> Object | None:
        """An object as it is now; None if there is none.

        :raises ClusterError: the server refuses, or does not answer.
        """
        try:
            found: Object = await self._ask(name, self._api.get_namespaced_custom_object)
        except ClusterError as error:
            if error.status == 404:
                return None
            raise
        return found

    async def patch(self, name: str, change: Object) -> Object:
        """Merge a change into an object.

        :return: the object as it is then.
        :raises ClusterError: there is none, or the server refuses, or does not answer.
        """
        call = self._api.patch_namespaced_custom_object
        found: Object = await self._ask(name, call, body=dict(change), _content_type="application/merge-patch+json")
        return found

    async def delete(self, name: str, uid: str, version: str) -> None:
        """Delete an object with all that it owns; harmless if it is gone.

        :param uid: delete no other object of that name.
        :param version: delete it only as it was at this version.
        :raises ClusterError: it has changed (409), or the server refuses, or does not answer.
        """
        from kubernetes_asyncio.client import V1DeleteOptions, V1Preconditions

        only = V1Preconditions(uid=uid, resource_version=version)
        options = V1DeleteOptions(propagation_policy="Background", preconditions=only)
        try:
            await self._ask(name, self._api.delete_namespaced_custom_object, body=options)
        except ClusterError as error:
            if error.status != 404:
                raise

    async def _ask(self, name: str, call: Callable[..., Awaitable[Any]], **options: Any) -> Any:
        async with self._turn:
            with async_told(f"{self._what}/{name}"):
                return await call(*self._where, name, _request_timeout=_SECONDS, **options)


async def log_of(client: Any, namespace: str, pod: str, container: str) -> AsyncGenerator[bytes, None]:
    """A container's log as it is now, in pieces.

    :param client: a ``kubernetes_asyncio`` ``ApiClient``.
    :raises ClusterError: there is no such pod, or the server refuses, or does not answer.
    """
    from kubernetes_asyncio.client import ApiException, CoreV1Api

    with async_told(f"log of pod {namespace}/{pod}"):
        response: Any = await CoreV1Api(client).read_namespaced_pod_log(
            pod, namespace, container=container, _preload_content=False, _request_timeout=(_SECONDS, _SILENT_SECONDS)
        )
        async with response:
            if response.status != 200:
                error = ApiException(status=response.status, reason=response.reason)
                error.body = await response.text()
                raise error
            async for data in response.content.iter_chunked(_PIECE):
                yield data
