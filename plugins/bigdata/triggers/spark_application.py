"""Wait for a SparkApplication's end in the triggerer.

Contract: the end is taken from ``.status.applicationState`` alone, by one watch for all waiting tasks. The trigger
keeps nothing that a restarted triggerer would miss: it finds the application again by name and uid. When a user kills,
clears or marks the task, the application is deleted, unless it is to be kept.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from bigdata.errors import ClusterError
from bigdata.kubernetes.resources import Object
from bigdata.spark.kubernetes import states
from bigdata.spark.kubernetes.durations import Durations
from bigdata.spark.kubernetes.tries import DEFERRED, is_deferred
from bigdata.triggers.clusters import Cluster, shared_watch

log = logging.getLogger(__name__)

# With the wait for others' requests; the application's states wait for it.
_MARK_SECONDS = 20.0


class SparkApplicationTrigger(BaseTrigger):
    """Fires once: ``{"end": "terminal" | "gone" | "late" | "refused", "handle": …, "seconds": {state: seconds}, …}``.

    The handle is what :meth:`bigdata.spark.kubernetes.runtime.OperatorRuntime.attach` takes. Where the task ends here,
    ``TaskSuccessEvent``; whoever resumes the task all the same is told ``{"end": "done", "outcome": …}``.

    :param cluster: fields of :class:`Cluster`.
    :param handle: :attr:`bigdata.spark.kubernetes.runtime.OperatorHandle.identity`.
    :param startup_timeout: seconds from the application's creation until its driver must run.
    :param keep_on_kill: leave the application when a user kills the task.
    :param ends_task: end the task here when the application has succeeded.
    :param driver_log: show the driver's log then.
    :param xcom: push the outcome as the task's result then.
    :param told: XComs that the worker has pushed, by key, so that they are not pushed again; None: not known.
    """

    def __init__(
        self,
        cluster: dict[str, Any],
        handle: dict[str, Any],
        startup_timeout: float,
        keep_on_kill: bool = False,
        ends_task: bool = False,
        driver_log: bool = True,
        xcom: bool = False,
        told: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.cluster, self.handle, self.startup_timeout = cluster, handle, startup_timeout
        self.keep_on_kill, self.ends_task, self.driver_log, self.xcom = keep_on_kill, ends_task, driver_log, xcom
        self._application: Object = {}
        self._seen_version = ""
        self._is_done = self._is_marked = False
        self._driver_log_url: str | None = None
        self._deletion: asyncio.Task[None] | None = None
        self._namespace, self._name, self._uid = handle["namespace"], handle["name"], handle["uid"]
        self.told, self._shown = told, dict(told or {})
        # What Airflow has pushed for a link without an address, when the task deferred.
        self._pushed_else = None if told is None else ""
        self._is_ui_shown = False
        self._durations = Durations()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See :class:`BaseTrigger`."""
        names = ("cluster", "handle", "startup_timeout", "keep_on_kill", "ends_task", "driver_log", "xcom", "told")
        return f"{type(self).__module__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Follow the application; each of its states is a line of the task's log."""
        try:
            async for event in self._follow():
                yield event
        except asyncio.CancelledError as error:
            # The triggerer's own end has no message. Past the deferral's timeout Airflow does not call on_kill.
            if error.args:
                self._end_application()
            raise

    async def _follow(self) -> AsyncIterator[TriggerEvent]:
        try:
            async with asyncio.timeout(None) as limit:
                end, message = await self._end(limit), ""
        except TimeoutError:
            end, message = "late", ""
        except ClusterError as error:
            end, message = "refused", str(error)
        if event := await self._done(end):
            self._is_done = True
            yield event
            # As soon as Airflow has stored it, it cancels this and calls on_kill; until then, another triggerer may
            # have to begin anew.
            await asyncio.Event().wait()
        yield TriggerEvent({"end": end, "message": message, "handle": self.handle, "seconds": self._durations.seconds})

    async def on_kill(self) -> None:
        """Delete the application, and with it its driver and executors, unless it is to be kept."""
        from bigdata.triggers import deletion

        if task := self._end_application():
            await deletion.wait(task)

    def _end_application(self) -> asyncio.Task[None] | None:
        from bigdata.triggers import deletion

        if self._deletion:
            return self._deletion
        if self.keep_on_kill and not self._is_done:
            log.warning("Killed: leaving SparkApplication %s/%s", self._namespace, self._name)
            return None
        is_wanted = None if self._is_done else self._is_deferred
        self._deletion = deletion.begin(Cluster(**self.cluster), self.handle, is_wanted, self._seen_version)
        return self._deletion

    async def _is_deferred(self) -> bool:
        """Whether the task waits still, by another triggerer."""
        state = await asyncio.to_thread(self._state)
        if state == "deferred":
            log.info("Another triggerer waits for SparkApplication %s/%s", self._namespace, self._name)
            return True
        log.info("Killed, as the task is %s: deleting %s/%s", state or "gone", self._namespace, self._name)
        return False

    def _state(self) -> str:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        ti = self.task_instance
        if ti is None:
            return ""
        found = RuntimeTaskInstance.get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
        key = ti.task_id if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
        return str((found.get(ti.run_id) or {}).get(key) or "")

    async def _end(self, limit: asyncio.Timeout) -> str:
        from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION

        loop = asyncio.get_running_loop()
        start_by: float | None = loop.time() + self.startup_timeout - (time.time() - self.handle["created"])
        limit.reschedule(start_by)
        watch = shared_watch(Cluster(**self.cluster), SPARK_APPLICATION, self._namespace)
        async for found in watch.follow(self._name, self._uid):
            if found is None:
                return "gone"
            phase = states.phase(self._told(found))
            if states.has_run(found):
                limit.reschedule(None)
            await self._mark(found)
            await self._show(found)
            if phase.is_terminal:
                self._application = found
                return "terminal"
        raise AssertionError("a watch ends with None")

    async def _done(self, end: str) -> TriggerEvent | None:
        """End the task, if it is to end here and the application has succeeded."""
        from bigdata import settings
        from bigdata.links import KEYS, pod_xcoms
        from bigdata.spark import pages
        from bigdata.triggers import ending

        found = self._application
        is_success = end == "terminal" and states.phase(states.raw_state(found)) == states.Phase.SUCCEEDED
        if not is_success:
            return None
        line, cluster = log.info if self.driver_log else None, Cluster(**self.cluster)
        success = await ending.succeed(cluster, found, self._durations.seconds, line) if self.ends_task else None
        if success is None:
            if self._is_marked or is_deferred(found):
                await ending.hand_over(cluster, found)
            return None
        outcome, self._seen_version = success.outcome, success.version
        history = pages.history(settings.load().history_server_url, outcome.application_id)
        now = pod_xcoms(self._namespace, outcome.driver_pod) | {
            KEYS[page]: history for page in (pages.Page.UI, pages.Page.HISTORY)
        }
        # As few as can be: to store one takes Airflow longer than to store the success.
        news = {key: value for key, value in now.items() if self._shown.get(key, self._pushed_else) != value}
        event = TaskSuccessEvent(xcoms=news | ({"return_value": outcome.to_dict()} if self.xcom else {}))
        # Not stored; `airflow dags test`, which knows no such event, resumes the task with it.
        event.payload = {
            "end": "done",
            "outcome": outcome.to_dict(),
            "handle": self.handle,
            "seconds": self._durations.seconds,
        }
        return event

    async def _mark(self, found: Object) -> None:
        """Tell later tries that this one has come as far as here; what a kill leaves is theirs all the same."""
        from bigdata.triggers import ending

        has_ended = states.phase(states.raw_state(found)).is_terminal
        if self.keep_on_kill or self._is_marked or is_deferred(found) or has_ended or not states.may_be_changed(found):
            return
        self._is_marked = True
        try:
            async with asyncio.timeout(_MARK_SECONDS):
                await ending.mark(Cluster(**self.cluster), found, DEFERRED)
        except Exception as error:  # a later try goes on with the application then
            log.info("%s/%s is not marked as deferred: %s", self._namespace, self._name, error)

    def _told(self, found: Object) -> str:
        raw = states.raw_state(found)
        if self._durations.see(found):
            message = states.message(found)
            log.info("%s: %s (%s)%s", self._name, states.phase(raw), raw or "NEW", f": {message}" if message else "")
        return raw

    async def _show(self, found: Object) -> None:
        """Push the links of the task's page, which no worker is there to push."""
        from bigdata import settings
        from bigdata.links import KEYS
        from bigdata.spark import pages

        if self._driver_log_url is None:
            self._driver_log_url = settings.load().driver_log_url
        live = pages.live(found, self._driver_log_url)
        if states.is_running(found):
            live.setdefault(pages.Page.UI, "")  # the worker could not know that there is none
            if not self._is_ui_shown and (where := pages.ui(found) or pages.port_forward(found)):
                log.info("%s: %s", pages.Page.UI, where)
                self._is_ui_shown = True
        for page, url in live.items():
            if await self._tell(KEYS[page], url) and page != pages.Page.UI:
                log.info("%s: %s", page, url)

    async def _tell(self, key: str, value: str) -> bool:
        """Push a value unless it has been pushed; returns whether it is new."""
        if self._shown.get(key, self._pushed_else) == value:
            return False
        try:
            await asyncio.to_thread(self._push, key, value)
            self._shown[key] = value
        except Exception as error:  # a link is not worth the application
            log.warning("XCom %s could not be pushed: %s: %s", key, type(error).__name__, error)
        return True

    def _push(self, key: str, value: str) -> None:
        from airflow.sdk.execution_time.xcom import XCom

        if ti := self.task_instance:
            where = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
            XCom.set(key=key, value=value, **where)
