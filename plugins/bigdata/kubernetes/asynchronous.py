"""Single requests by the asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.errors import async_told
from bigdata.kubernetes.resources import Kind

_PIECE = 64 * 1024


async def delete(client: Any, kind: Kind, namespace: str, name: str, uid: str) -> None:
    """Delete an object with all that it owns; harmless if it is gone.

    :param client: a ``kubernetes_asyncio`` ``ApiClient``.
    :param uid: delete no other object of that name.
    :raises ClusterError: the server refuses, or does not answer.
    """
    from kubernetes_asyncio.client import CustomObjectsApi, V1DeleteOptions, V1Preconditions

    try:
        with async_told(f"{kind} {namespace}/{name}"):
            await CustomObjectsApi(client).delete_namespaced_custom_object(
                kind.group,
                kind.version,
                namespace,
                kind.plural,
                name,
                body=V1DeleteOptions(propagation_policy="Background", preconditions=V1Preconditions(uid=uid)),
                _request_timeout=30,
            )
    except ClusterError as error:
        if error.status not in (404, 409):
            raise


async def log_of(client: Any, namespace: str, pod: str, container: str) -> AsyncIterator[bytes]:
    """A container's log as it is now, in pieces.

    :param client: a ``kubernetes_asyncio`` ``ApiClient``.
    :raises ClusterError: there is no such pod, or the server refuses, or does not answer.
    """
    from kubernetes_asyncio.client import CoreV1Api

    with async_told(f"log of pod {namespace}/{pod}"):
        response: Any = await CoreV1Api(client).read_namespaced_pod_log(
            pod, namespace, container=container, _preload_content=False, _request_timeout=300
        )
        async with response:
            if response.status != 200:
                status, text = response.status, (await response.text())[:500]
                raise ClusterError(f"log of pod {namespace}/{pod}", f"{status}: {text}", status)
            async for data in response.content.iter_chunked(_PIECE):
                yield data
