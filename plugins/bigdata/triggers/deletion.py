"""Delete an application from the triggerer, whatever stands in the way.

Airflow calls ``on_kill`` once and then forgets the trigger, so the request is repeated until it has gone through: in
the background of the triggerer, for as long as that lives or an hour. An application that a later try has taken over
is left alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from bigdata.kubernetes.asynchronous import AsyncResources
from bigdata.spark.kubernetes.tries import own
from bigdata.triggers.clusters import Cluster

log = logging.getLogger(__name__)

# Airflow gives on_kill 30 s.
_ANSWER_SECONDS = 20.0
_MOST_SECONDS = 3600.0
_LONGEST_PAUSE = 30.0
_running: set[asyncio.Task[None]] = set()


async def delete(cluster: Cluster, handle: Mapping[str, Any]) -> None:
    """Delete an application; returns when that is done, or goes on in the background.

    :param handle: :attr:`bigdata.spark.kubernetes.runtime.OperatorHandle.identity`.
    """
    task = asyncio.create_task(_until_done(cluster, handle))
    _running.add(task)
    task.add_done_callback(_running.discard)
    await asyncio.wait({task}, timeout=_ANSWER_SECONDS)


async def _until_done(cluster: Cluster, handle: Mapping[str, Any]) -> None:
    loop, pause = asyncio.get_running_loop(), 0.2
    end = loop.time() + _MOST_SECONDS
    while loop.time() < end:
        try:
            await _once(cluster, handle)
        except Exception as error:  # all of it may be over in a moment, and nobody else would try again
            log.warning("%s/%s is not deleted yet: %s", handle["namespace"], handle["name"], error)
        else:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    log.error("%s/%s could not be deleted", handle["namespace"], handle["name"])


async def _once(cluster: Cluster, handle: Mapping[str, Any]) -> None:
    from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION

    async with cluster.connect() as client:
        resources = AsyncResources(client, SPARK_APPLICATION, handle["namespace"])
        found = await resources.read(handle["name"])
        if found is None or found["metadata"]["uid"] != handle["uid"]:
            return
        if not own(found, handle["try_number"]):
            log.info("%s belongs to a later try by now", handle["name"])
            return
        await resources.delete(handle["name"], handle["uid"], found["metadata"]["resourceVersion"])
