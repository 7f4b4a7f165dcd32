"""Follows one pod: its states and its log's lines, each once and in order.

Delivery: the watch resumes after any error from a fresh read, so no state that lasts is missed; a deleted pod is told
as gone. The log is read with the server's timestamps; a connection that breaks is taken up at the last line read, and
lines of the same instant are counted, so that none is lost or doubled. An API server that is away is waited for: the
pod runs on.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from bigdata.errors import SubmitError
from bigdata.spark.driver import pods
from bigdata.spark.driver.output import Lines
from bigdata.spark.driver.pods import PodState
from bigdata.spark.runtime import Phase

log = logging.getLogger(__name__)

GONE = PodState(Phase.GONE, "deleted", "the driver's pod was deleted")

_WATCH_SECONDS = 60
_LONGEST_PAUSE = 15.0
_LOG_SECONDS = 30.0
_CLOCKS_DIFFER_SECONDS = 60
_REFUSED = (401, 403)

Event = PodState | str | Exception | None


class PodWatch:
    """Follows a pod from two threads; iterate :meth:`events` in a third.

    :param core: a kubernetes ``CoreV1Api``.
    :param uid: of the pod; another one under its name counts as its deletion.
    :param with_log: whether to read its log.
    """

    def __init__(self, core: Any, namespace: str, name: str, uid: str, container: str, with_log: bool = True) -> None:
        self._core, self._namespace, self._name, self._uid, self._container = core, namespace, name, uid, container
        self._queue: queue.Queue[Event] = queue.Queue()
        self._has_log, self._has_ended, self._stopped = threading.Event(), threading.Event(), threading.Event()
        follow_log = self._follow_log if with_log else self._has_ended.wait
        self._log_thread = threading.Thread(target=follow_log, daemon=True)
        self._threads = [threading.Thread(target=self._follow_states, daemon=True), self._log_thread]

    def events(self, tick: float) -> Iterator[PodState | str | None]:
        """Yield states, lines of the log, and None when there was nothing for ``tick`` seconds.

        The terminal state comes last, after the whole log.

        :raises SubmitError: the API server refuses to show the pod.
        """
        for thread in self._threads:
            thread.start()
        end: PodState | None = None
        deadline = math.inf
        while True:
            try:
                event = self._queue.get(timeout=min(tick, 0.5) if end else tick)
            except queue.Empty:
                event = None
            if isinstance(event, Exception):
                raise event
            if isinstance(event, PodState) and event.phase.is_terminal:
                end, deadline = event, time.monotonic() + _LOG_SECONDS
            elif event is not None or not end:
                yield event
                if end:
                    deadline = time.monotonic() + _LOG_SECONDS
            if end and ((event is None and not self._log_thread.is_alive()) or time.monotonic() > deadline):
                yield end
                return

    def stop(self) -> None:
        """Let the threads end."""
        self._stopped.set()
        self._has_log.set()
        self._has_ended.set()

    # states

    def _follow_states(self) -> None:
        try:
            self._tell_states()
        except Exception as error:  # nobody else would see it, and the reader would wait for ever
            self._queue.put(error)

    def _tell_states(self) -> None:
        last: PodState | None = None
        for pod in self._pods():
            state = pods.read(pod, self._container) if pod else GONE
            if state.has_log or state.phase.is_terminal:
                self._has_log.set()
            if state.phase.is_terminal:
                self._has_ended.set()
            if state != last:
                last = state
                self._queue.put(state)
            if state.phase.is_terminal:
                return

    def _pods(self) -> Iterator[Mapping[str, Any] | None]:
        """Yield the pod as it is now and at each change; None when it is gone."""
        from kubernetes.client.exceptions import ApiException

        pause = 0.5
        while not self._stopped.is_set():
            try:
                yield from self._watch_once()
                pause = 0.5
            except ApiException as error:
                if error.status in _REFUSED:
                    message = f"the API server refuses to show pod {self._namespace}/{self._name}: {error.reason}"
                    self._queue.put(SubmitError(message))
                    return
                if error.status == 404:
                    yield None
                    return
                pause = self._wait(pause, error)
            except Exception as error:  # urllib3 has many; all of them mean that the connection failed
                pause = self._wait(pause, error)

    def _watch_once(self) -> Iterator[Mapping[str, Any] | None]:
        from kubernetes.watch import Watch

        pod = self._core.read_namespaced_pod(self._name, self._namespace, _request_timeout=(10, 30))
        yield self._checked(pod)
        stream = Watch().stream(
            self._core.list_namespaced_pod,
            self._namespace,
            field_selector=f"metadata.name={self._name}",
            resource_version=pod.metadata.resource_version,
            timeout_seconds=_WATCH_SECONDS,
            _request_timeout=(10, _WATCH_SECONDS + 30),
        )
        for event in stream:
            if self._stopped.is_set():
                return
            yield None if event["type"] == "DELETED" else self._checked(event["object"])

    def _checked(self, pod: Any) -> Mapping[str, Any] | None:
        if pod.metadata.uid != self._uid:
            return None
        found: Mapping[str, Any] = self._core.api_client.sanitize_for_serialization(pod)
        return found

    def _wait(self, pause: float, error: Exception) -> float:
        log.warning("pod %s/%s: %s; trying again", self._namespace, self._name, _first_line(error))
        self._stopped.wait(pause)
        return min(pause * 2, _LONGEST_PAUSE)

    # log

    def _follow_log(self) -> None:
        self._has_log.wait()
        reader = _LogReader()
        while not self._stopped.is_set():
            # Asked before reading: what is read after the end is the rest.
            is_rest = self._has_ended.is_set()
            try:
                for line in self._read_log(reader, follow=not is_rest):
                    self._queue.put(line)
            except Exception as error:  # see above; and a pod that is gone has no log
                log.debug("log of %s/%s: %s", self._namespace, self._name, error)
            if is_rest:
                return
            self._has_ended.wait(1.0)

    def _read_log(self, reader: _LogReader, follow: bool) -> Iterator[str]:
        response = self._core.read_namespaced_pod_log(
            self._name,
            self._namespace,
            container=self._container,
            follow=follow,
            timestamps=True,
            _preload_content=False,
            _request_timeout=(10, None if follow else 60),
            **reader.since(),
        )
        try:
            lines = Lines()
            for data in response.stream(4096, decode_content=False):
                if self._stopped.is_set():
                    return
                yield from reader.new(lines.feed(data))
            yield from reader.new(lines.finish())
        finally:
            response.close()


class _LogReader:
    """Remembers how far a log has been read."""

    def __init__(self) -> None:
        self._last = ""
        self._of_last = 0

    def since(self) -> dict[str, int]:
        """Where to begin the next read: in whole seconds before now, as the API has it, and rather too early.

        What was read is not told again, and this clock may differ from the node's.
        """
        self._seen = 0
        if not self._last:
            return {}
        age = (datetime.now(UTC) - _time(self._last)).total_seconds()
        return {"since_seconds": max(0, math.ceil(age)) + _CLOCKS_DIFFER_SECONDS}

    def new(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield those that have not been read yet, without their timestamps."""
        for line in lines:
            stamp, _, text = line.partition(" ")
            key = _comparable(stamp)
            if key < self._last:
                continue
            if key > self._last:
                self._last, self._of_last, self._seen = key, 0, 0
            self._seen += 1
            if self._seen > self._of_last:
                self._of_last = self._seen
                yield text


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _comparable(stamp: str) -> str:
    """RFC 3339 with all nine digits, as the server leaves zeros out."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp[:26]).replace(tzinfo=UTC)
