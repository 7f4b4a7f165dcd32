"""Which cluster a trigger means, as data, and the watches of this process: one for each cluster, namespace and kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.resources import USER_AGENT, Kind
from bigdata.kubernetes.shared_watch import SharedWatch
from bigdata.spark.naming import OURS


@dataclass(frozen=True)
class Cluster:
    """How to reach a cluster: what the provider's hook takes. No secret is in it, as it is stored with the trigger."""

    conn_id: str | None = None
    in_cluster: bool | None = None
    config_file: str | None = None
    context: str | None = None

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        """Give an asynchronous client; those who use one at the same time share it.

        To make one and its first connection takes five times as long as a request, in the loop that all tasks share.
        """
        loop = asyncio.get_running_loop()
        key = (id(loop), self)
        # A thousand that come at once make one.
        async with _locks.setdefault(key, asyncio.Lock()):
            shared = _clients.get(key)
            if shared is None or loop.time() - shared.since > _CLIENT_SECONDS:
                stack = AsyncExitStack()
                shared = _SharedClient(await stack.enter_async_context(self._client()), stack, loop.time())
                shared.client.user_agent = USER_AGENT
                _clients[key] = shared
            shared.users += 1
        try:
            yield shared.client
        except ClusterError as error:
            if error.status == 401 and _clients.get(key) is shared:
                del _clients[key]  # the next one reads the credentials anew
            raise
        finally:
            shared.users -= 1
            if not shared.users:
                if _clients.get(key) is shared:
                    del _clients[key]
                await shared.stack.aclose()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Any]:
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook
        from kubernetes_asyncio.client import ApiClient, Configuration
        from kubernetes_asyncio.config import load_kube_config

        if self.config_file:
            # The provider's asynchronous hook knows no such argument.
            configuration = Configuration()
            await load_kube_config(self.config_file, context=self.context, client_configuration=configuration)
            async with ApiClient(configuration) as client:
                yield client
            return
        hook = AsyncKubernetesHook(conn_id=self.conn_id, in_cluster=self.in_cluster, cluster_context=self.context)
        async with hook.get_conn() as client:
            yield client


@dataclass
class _SharedClient:
    client: Any
    stack: AsyncExitStack
    since: float
    users: int = 0


# A client keeps the credentials that it was made with; the shortest-lived, of EKS, are good for 15 minutes.
_CLIENT_SECONDS = 240.0
_clients: dict[tuple[int, Cluster], _SharedClient] = {}
_locks: dict[tuple[int, Cluster], asyncio.Lock] = {}
_watches: dict[tuple[Any, ...], SharedWatch] = {}


def shared_watch(cluster: Cluster, kind: Kind, namespace: str, selector: str = OURS) -> SharedWatch:
    """The watch of this event loop on objects that have these labels; default: those of ours."""
    loop = asyncio.get_running_loop()
    for key, watch in list(_watches.items()):
        if not watch.waiters:
            del _watches[key]
    return _watches.setdefault(
        (id(loop), cluster, kind, namespace, selector), SharedWatch(cluster.connect, kind, namespace, selector)
    )
