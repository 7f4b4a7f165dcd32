"""Which cluster a trigger means, as data, and the watches of this process: one for each cluster, namespace and kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bigdata.kubernetes.resources import Kind
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
        """Make an asynchronous client."""
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


_watches: dict[tuple[Any, ...], SharedWatch] = {}


def shared_watch(cluster: Cluster, kind: Kind, namespace: str) -> SharedWatch:
    """The watch of this event loop on objects of ours."""
    loop = asyncio.get_running_loop()
    for key, watch in list(_watches.items()):
        if not watch.waiters:
            del _watches[key]
    return _watches.setdefault(
        (id(loop), cluster, kind, namespace), SharedWatch(cluster.connect, kind, namespace, OURS)
    )
