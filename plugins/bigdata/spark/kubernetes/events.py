"""What happens to an application on the cluster, from its two sources in one stream: the resource's states, and its
driver pod's states and log.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

from bigdata.errors import BigdataError, ClusterError
from bigdata.kubernetes.errors import told
from bigdata.kubernetes.resources import Object, Resources
from bigdata.kubernetes.watch import follow
from bigdata.spark.driver import pod_template
from bigdata.spark.driver.pod_watch import PodWatch
from bigdata.spark.driver.pods import PodState
from bigdata.spark.kubernetes import states

log = logging.getLogger(__name__)

Event = Object | PodState | str | None

GONE: Object = {}
_CONTAINER = pod_template.CONTAINERS["driver"]
_TICK_SECONDS = 1.0
_LOG_SECONDS = 30.0
_POD_SECONDS = 3.0


class Events:
    """Iterate it inside ``with``: resources (``{}`` when it is gone), pod states, lines of the log, and None when
    nothing happened for a second. It ends when nobody asks any more.

    :param core: a kubernetes ``CoreV1Api``.
    :param driver_log: whether to read the log.
    :raises ClusterError: the API server refuses to show the resource.
    """

    def __init__(self, resources: Resources, core: Any, name: str, uid: str, driver_log: bool = True) -> None:
        self._resources, self._core, self._name, self._uid = resources, core, name, uid
        self._driver_log = driver_log
        self._queue: queue.Queue[Event | BaseException] = queue.Queue()
        self._stopped = threading.Event()
        self._pod_thread: threading.Thread | None = None
        self._pod_watch: PodWatch | None = None
        self._attempt: Any = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._follow_resource, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._pod_watch:
            self._pod_watch.stop()

    def __iter__(self) -> Iterator[Event]:
        while True:
            try:
                event = self._queue.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                event = None
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, dict) and event:
                self._follow_driver(event)
            yield event

    def rest(self) -> Iterator[str | PodState]:
        """Yield what the pod has still to tell after the application's end, until it is silent for long."""
        deadline = time.monotonic() + _LOG_SECONDS
        while True:
            is_over = self._pod_thread is None or not self._pod_thread.is_alive()
            if not is_over and time.monotonic() > deadline:
                log.warning("The driver's log may go on: nothing came of it for %.0f s", _LOG_SECONDS)
                return
            try:
                event = self._queue.get(timeout=0.2)
            except queue.Empty:
                if is_over:
                    return
                continue
            if isinstance(event, str | PodState):
                yield event
                deadline = time.monotonic() + _LOG_SECONDS

    def _follow_resource(self) -> None:
        try:
            for found in follow(self._resources, self._name, self._uid, self._stopped):
                self._queue.put(GONE if found is None else found)
        except Exception as error:  # nobody else would see it, and the reader would wait for ever
            self._queue.put(error)

    def _follow_driver(self, application: Object) -> None:
        """Begin with the driver's pod when there is one, and again when a rerun has made another."""
        pod = states.driver_pod(application)
        attempt = ((application.get("status") or {}).get("submissionID"), pod)
        if not pod or attempt == self._attempt:
            return
        self._attempt = attempt
        if self._pod_watch:
            self._pod_watch.stop()
        self._pod_thread = threading.Thread(target=self._tell_pod, args=(pod,), daemon=True)
        self._pod_thread.start()

    def _tell_pod(self, name: str) -> None:
        namespace = self._resources.namespace
        try:
            uid = self._pod_uid(name)
            watch = PodWatch(self._core, namespace, name, uid, _CONTAINER, self._driver_log)
            self._pod_watch = watch
            for event in watch.events(_TICK_SECONDS):
                if event is not None:
                    self._queue.put(event)
        except BigdataError as error:
            # The resource decides; without the pod there is only no log.
            log.info("No log of pod %s/%s: %s", namespace, name, str(error).splitlines()[0])

    def _pod_uid(self, name: str) -> str:
        """The pod's uid; a server that is away is waited for, and one that does not know the pod yet is asked again."""
        end = time.monotonic() + _POD_SECONDS
        while True:
            try:
                with told(f"pod {self._resources.namespace}/{name}"):
                    pod = self._core.read_namespaced_pod(name, self._resources.namespace, _request_timeout=(10, 30))
                    return str(pod.metadata.uid)
            except ClusterError as error:
                if self._stopped.is_set() or not (error.is_transient or error.status == 404):
                    raise
                if error.status == 404 and time.monotonic() > end:
                    raise
            self._stopped.wait(1.0)
