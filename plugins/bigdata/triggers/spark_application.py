"""Wait for a SparkApplication's end in the triggerer.

Contract: the end is taken from ``.status.applicationState`` alone, by one watch for all waiting tasks. The trigger
keeps nothing that a restarted triggerer would miss: it finds the application again by name and uid. When a user kills,
clears or marks the task, the application is deleted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from bigdata.errors import ClusterError
from bigdata.kubernetes.resources import Object
from bigdata.spark import states
from bigdata.triggers.clusters import Cluster, shared_watch

log = logging.getLogger(__name__)


class SparkApplicationTrigger(BaseTrigger):
    """Fires once: ``{"end": "terminal" | "gone" | "late" | "refused", "handle": …, "seconds": {state: seconds}, …}``.

    The handle is what :meth:`bigdata.spark.operated.OperatorRuntime.attach` takes.

    :param cluster: fields of :class:`Cluster`.
    :param created: when the application was created, in seconds of the epoch.
    :param startup_timeout: seconds from then until the driver must run.
    """

    def __init__(
        self, cluster: dict[str, Any], namespace: str, name: str, uid: str, created: float, startup_timeout: float
    ) -> None:
        super().__init__()
        self.cluster, self.namespace, self.name, self.uid = cluster, namespace, name, uid
        self.created, self.startup_timeout = created, startup_timeout
        self._seconds: dict[str, float] = {}
        self._raw: str | None = None
        self._since = created

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See :class:`BaseTrigger`."""
        names = ("cluster", "namespace", "name", "uid", "created", "startup_timeout")
        return f"{type(self).__module__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Follow the application; each of its states is a line of the task's log."""
        try:
            async with asyncio.timeout(None) as limit:
                end, message = await self._end(limit), ""
        except TimeoutError:
            end, message = "late", ""
        except ClusterError as error:
            end, message = "refused", str(error)
        handle = {"namespace": self.namespace, "name": self.name, "uid": self.uid, "created": self.created}
        yield TriggerEvent({"end": end, "message": message, "handle": handle, "seconds": self._seconds})

    async def on_kill(self) -> None:
        """Delete the application, and with it its driver and executors."""
        from bigdata.kubernetes.asynchronous import delete
        from bigdata.spark.operated import SPARK_APPLICATION

        log.warning("Killed: deleting SparkApplication %s/%s", self.namespace, self.name)
        async with Cluster(**self.cluster).connect() as client:
            await delete(client, SPARK_APPLICATION, self.namespace, self.name, self.uid)

    async def _end(self, limit: asyncio.Timeout) -> str:
        from bigdata.spark.operated import SPARK_APPLICATION

        loop = asyncio.get_running_loop()
        start_by: float | None = loop.time() + self.startup_timeout - (time.time() - self.created)
        limit.reschedule(start_by)
        watch = shared_watch(Cluster(**self.cluster), SPARK_APPLICATION, self.namespace)
        async for found in watch.follow(self.name, self.uid):
            if found is None:
                return "gone"
            phase = states.phase(self._told(found))
            if phase.is_terminal:
                return "terminal"
            if phase == states.Phase.RUNNING:
                limit.reschedule(None)
        raise AssertionError("a watch ends with None")

    def _told(self, found: Object) -> str:
        raw = states.raw_state(found)
        if raw != self._raw:
            now = time.time()
            if self._raw is not None:
                self._seconds[self._raw or "NEW"] = self._seconds.get(self._raw or "NEW", 0.0) + now - self._since
            self._raw, self._since = raw, now
            message = states.message(found)
            log.info("%s: %s (%s)%s", self.name, states.phase(raw), raw or "NEW", f": {message}" if message else "")
        return raw
