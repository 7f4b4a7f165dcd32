"""Bring a task to its end in the triggerer when its application has succeeded: no worker starts for that.

Contract: first the driver's log is written to the task's log, then the application is marked as seen, then Airflow
stores the success, then the application is deleted. A triggerer that dies before the success is stored finds the
application again and begins anew; no later try takes for its own success what is marked. What goes wrong is left to a
worker, which can do all of it, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.asynchronous import AsyncResources, log_of
from bigdata.kubernetes.resources import Object
from bigdata.spark.driver import pod_template
from bigdata.spark.driver.output import Lines, Telltale
from bigdata.spark.kubernetes import states
from bigdata.spark.kubernetes.tries import SEEN
from bigdata.spark.runtime import Outcome, Phase
from bigdata.triggers.clusters import Cluster

log = logging.getLogger(__name__)

# Lines that are written before others may run: the triggerer has many tasks.
_TURN = 500


async def succeed(
    cluster: Cluster, application: Object, seconds: Mapping[str, float], line: Callable[[str], None] | None
) -> Outcome | None:
    """Show the log of an application that has succeeded, and tell its outcome.

    :param seconds: how long it was in each state.
    :param line: gets each line of the driver's log; None: it is not wanted.
    :returns: the outcome; None when a worker should do it.
    """
    from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION

    metadata, status, seen = application["metadata"], application["status"], Telltale()
    try:
        async with cluster.connect() as client:
            if line:
                await _show_log(client, application, seen, line)
            resources = AsyncResources(client, SPARK_APPLICATION, metadata["namespace"])
            await resources.patch(metadata["name"], SEEN)
    except Exception as error:  # of the connection, too: the job has succeeded, and that must not be lost here
        log.warning("%s: %s; a worker goes on", type(error).__name__, error)
        return None
    return Outcome(
        Phase.SUCCEEDED,
        states.raw_state(application),
        exit_code=0,
        application_id=str(status.get("sparkApplicationId") or seen.application_id),
        event_log=seen.event_log,
        seconds=dict(seconds),
        driver_pod=states.driver_pod(application),
        executors=dict(Counter((status.get("executorState") or {}).values())),
    )


async def _show_log(client: Any, application: Object, seen: Telltale, line: Callable[[str], None]) -> None:
    namespace, pod = application["metadata"]["namespace"], states.driver_pod(application)
    lines, count = Lines(), 0
    try:
        async for data in log_of(client, namespace, pod, pod_template.CONTAINERS["driver"]):
            for text in lines.feed(data):
                seen.see(text)
                line(text)
                count += 1
                if count % _TURN == 0:
                    await asyncio.sleep(0)
    except ClusterError as error:
        if not count and error.status not in (400, 404):
            raise
        # Its node may be gone; and a worker would show again what has been shown.
        log.warning("No%s log of pod %s/%s: %s", " more" if count else "", namespace, pod, error.problem)
    for text in lines.finish():
        seen.see(text)
        line(text)
