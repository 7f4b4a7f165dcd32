"""Delete an application from the triggerer, whatever stands in the way.

Airflow forgets the trigger that it kills, so the request is repeated until it has gone through: in the background of
the triggerer, for as long as that lives or an hour. An application that a later try has taken over is left alone, and
so is one whose task is still deferred: Airflow kills a trigger also when it has given it to another triggerer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.asynchronous import AsyncResources
from bigdata.spark.kubernetes.tries import own
from bigdata.triggers.clusters import Cluster

log = logging.getLogger(__name__)

# Airflow gives on_kill 30 s.
_ANSWER_SECONDS = 20.0
_MOST_SECONDS = 3600.0
_LONGEST_PAUSE = 30.0
_running: set[asyncio.Task[None]] = set()


def begin(
    cluster: Cluster,
    handle: Mapping[str, Any],
    is_wanted: Callable[[], Awaitable[bool]] | None = None,
    version: str = "",
) -> asyncio.Task[None]:
    """Delete an application, in the background.

    :param handle: :attr:`bigdata.spark.kubernetes.runtime.OperatorHandle.identity`.
    :param is_wanted: whether somebody still waits for it; it is left then.
    :param version: the last that is known; as long as it has not changed, nobody else can have taken it over.
    """
    task = asyncio.create_task(_until_done(cluster, handle, is_wanted, version))
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


async def wait(task: asyncio.Task[None]) -> None:
    """Wait for what :func:`begin` has begun, as long as Airflow gives time."""
    await asyncio.wait({task}, timeout=_ANSWER_SECONDS)


async def _until_done(
    cluster: Cluster, handle: Mapping[str, Any], is_wanted: Callable[[], Awaitable[bool]] | None, version: str
) -> None:
    loop, pause = asyncio.get_running_loop(), 0.2
    end = loop.time() + _MOST_SECONDS
    while loop.time() < end:
        try:
            if is_wanted and await is_wanted():
                return
            await _once(cluster, handle, version)
        except Exception as error:  # all of it may be over in a moment, and nobody else would try again
            log.warning("%s/%s is not deleted yet: %s", handle["namespace"], handle["name"], error)
        else:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    log.error("%s/%s could not be deleted", handle["namespace"], handle["name"])


async def _once(cluster: Cluster, handle: Mapping[str, Any], version: str) -> None:
    from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION

    async with cluster.connect() as client:
        resources = AsyncResources(client, SPARK_APPLICATION, handle["namespace"])
        if version:
            try:
                await resources.delete(handle["name"], handle["uid"], version)
                return
            except ClusterError as error:
                if error.status != 409:
                    raise
        found = await resources.read(handle["name"])
        if found is None or found["metadata"]["uid"] != handle["uid"]:
            return
        if not own(found, handle["try_number"]):
            log.info("%s belongs to a later try by now", handle["name"])
            return
        await resources.delete(handle["name"], handle["uid"], found["metadata"]["resourceVersion"])
