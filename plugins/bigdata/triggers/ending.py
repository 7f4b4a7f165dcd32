"""Bring a task to its end in the triggerer when its application has succeeded: no worker starts for that.

Contract: first the application is marked as seen, unless it is marked as deferred already, then the driver's log is
written to the task's log, then Airflow stores the success, then the application is deleted. A triggerer that dies
before the success is stored finds the application again and begins anew; no later try takes for its own success what is
marked. What goes wrong is left to a
worker, which can do all of it, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.asynchronous import AsyncResources, log_of
from bigdata.kubernetes.resources import Object
from bigdata.spark.driver import pod_template
from bigdata.spark.driver.output import Lines, Telltale
from bigdata.spark.kubernetes import states
from bigdata.spark.kubernetes.tries import SEEN, is_deferred
from bigdata.spark.runtime import Outcome, Phase
from bigdata.triggers.clusters import Cluster

log = logging.getLogger(__name__)

# Of a log that is shown here. Airflow's supervisor takes 4 KiB of all triggers' lines at a time, and does a turn of its
# queries after each.
_MOST_BYTES = 256 * 1024


@dataclass(frozen=True)
class Success:
    """What has been seen, and the version of the application that is marked with it."""

    outcome: Outcome
    version: str


async def succeed(
    cluster: Cluster, application: Object, seconds: Mapping[str, float], line: Callable[[str], None] | None
) -> Success | None:
    """Show the log of an application that has succeeded, and tell its outcome.

    :param seconds: how long it was in each state.
    :param line: gets each line of the driver's log; None: it is not wanted.
    :return: None when a worker should do it.
    """
    from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION

    metadata, status, seen = application["metadata"], application["status"], Telltale()
    try:
        async with cluster.connect() as client:
            lines = await _read_log(client, application) if line else []
            if lines is None:
                return None
            for text in lines:
                seen.see(text)
            marked = application
            if not is_deferred(application):
                resources = AsyncResources(client, SPARK_APPLICATION, metadata["namespace"])
                marked = await resources.patch(metadata["name"], SEEN)
            if line and lines:
                # Not in the loop: a line waits until Airflow's supervisor has taken those before it.
                await asyncio.to_thread(_show, lines, line)
    except Exception as error:  # of the connection, too: the job has succeeded, and that must not be lost here
        log.warning("%s: %s; a worker goes on", type(error).__name__, error)
        return None
    outcome = Outcome(
        Phase.SUCCEEDED,
        states.raw_state(application),
        exit_code=0,
        application_id=str(status.get("sparkApplicationId") or seen.application_id),
        event_log=seen.event_log,
        seconds=dict(seconds),
        driver_pod=states.driver_pod(application),
        executors=dict(Counter((status.get("executorState") or {}).values())),
    )
    return Success(outcome, marked["metadata"]["resourceVersion"])


def _show(lines: list[str], line: Callable[[str], None]) -> None:
    for text in lines:
        line(text)


async def _read_log(client: Any, application: Object) -> list[str] | None:
    """The lines of the driver's log; None when it is long, or cannot be read to its end."""
    namespace, pod = application["metadata"]["namespace"], states.driver_pod(application)
    lines, found, size = Lines(), list[str](), 0
    try:
        async for data in log_of(client, namespace, pod, pod_template.CONTAINERS["driver"]):
            found += lines.feed(data)
            size += len(data)
            if size > _MOST_BYTES:
                log.info("The driver's log is long: a worker shows it")
                return None
    except ClusterError as error:
        if error.status not in (400, 404):
            raise
        # Its node may be gone, and a worker would not find more.
        log.warning("No log of pod %s/%s: %s", namespace, pod, error.problem)
    return [*found, *lines.finish()]
