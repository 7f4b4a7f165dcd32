"""Bring a task to its end in the triggerer when its application has succeeded: no worker starts for that.

Contract: first the driver's log is written to the task's log, then the application is marked as seen, unless its mark
as deferred keeps later tries away already, then Airflow stores the success, then the application is deleted. A
triggerer that dies before the success is stored finds the application again and begins anew; no later try takes for its
own success what carries either mark. What goes wrong is left to a worker, which can do all of it, too; the mark as
deferred is taken off then, so that a try after a worker that dies takes the success.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from bigdata.errors import ClusterError
from bigdata.kubernetes.asynchronous import AsyncResources, log_of
from bigdata.kubernetes.resources import Object
from bigdata.spark.driver import pod_template
from bigdata.spark.driver.output import Lines, Telltale
from bigdata.spark.kubernetes import states
from bigdata.spark.kubernetes.tries import NOT_DEFERRED, SEEN, is_deferred
from bigdata.spark.runtime import Outcome, Phase
from bigdata.triggers.clusters import Cluster

log = logging.getLogger(__name__)

# Of a log that is shown here. Airflow's supervisor takes 4 KiB of all triggers' lines at a time, and does a turn of its
# queries after each.
_MOST_BYTES = 256 * 1024
# Logs in memory at a time; by event loop.
_AT_ONCE = 4
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
# A line waits until the supervisor has taken those before it. In a thread of its own, as those of the loop are what
# Airflow's own lines and everybody's requests need.
_writer = ThreadPoolExecutor(1, "driver-log")


@dataclass(frozen=True)
class Success:
    """What has been seen, and the version of the application that is marked."""

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
    status, seen, marked = application["status"], Telltale(), application
    try:
        if line and not await _show_log(cluster, application, seen, line):
            return None
        if not is_deferred(application):
            marked = await mark(cluster, application, SEEN)
        version = str(marked["metadata"]["resourceVersion"])
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
    return Success(outcome, version)


async def hand_over(cluster: Cluster, application: Object) -> None:
    """Let a later try have a success that is left to a worker, should that worker die."""
    try:
        await mark(cluster, application, NOT_DEFERRED)
    except Exception as error:  # the job would be run again then
        log.info("%s is still marked as deferred: %s", application["metadata"]["name"], error)


async def mark(cluster: Cluster, application: Object, change: Object) -> Object:
    """Change an application's marks, such as ``DEFERRED``; gives it as it is then.

    :raises ClusterError: there is none, or the server refuses, or does not answer.
    """
    from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION

    metadata = application["metadata"]
    async with cluster.connect() as client:
        return await AsyncResources(client, SPARK_APPLICATION, metadata["namespace"]).patch(metadata["name"], change)


async def _show_log(cluster: Cluster, application: Object, seen: Telltale, line: Callable[[str], None]) -> bool:
    """Whether it was shown; all of it or nothing."""
    loop, is_over = asyncio.get_running_loop(), threading.Event()

    def show(lines: list[str]) -> None:
        for text in lines:
            if is_over.is_set():
                return
            line(text)

    async with _turns.setdefault(loop, asyncio.Semaphore(_AT_ONCE)):
        lines = await _read_log(cluster, application)
        for text in lines or ():
            seen.see(text)
        if lines:
            try:
                await loop.run_in_executor(_writer, contextvars.copy_context().run, show, lines)
            finally:
                is_over.set()
    return lines is not None


async def _read_log(cluster: Cluster, application: Object) -> list[str] | None:
    """The lines of the driver's log; None when it is long."""
    namespace, pod = application["metadata"]["namespace"], states.driver_pod(application)
    lines, found, size = Lines(), list[str](), 0
    try:
        async with (
            cluster.connect() as client,
            aclosing(log_of(client, namespace, pod, pod_template.CONTAINERS["driver"])) as pieces,
        ):
            async for data in pieces:
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
