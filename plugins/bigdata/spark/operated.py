"""The kubernetes runtime: a SparkApplication by the Kubeflow Spark operator, waited on by its own state.

Contract. The resource's name is a function of the task's try, and the create is idempotent: a process that died between
create and save finds the application again and waits on, so that there is one application a try. What earlier tries of
the task left running is deleted before the create. ``.status.applicationState`` alone decides how it ended; the
driver's pod adds its log, and tells why it does not start. ``cancel`` deletes the application by name and uid, and
returns when it and its driver's pod are gone.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bigdata.errors import ClusterError, SubmitError
from bigdata.kubernetes.resources import Kind, Object, Resources
from bigdata.spark import failure, states
from bigdata.spark.application import Application
from bigdata.spark.driver_pods import DriverPods
from bigdata.spark.naming import same_task
from bigdata.spark.operated_events import Event, Events
from bigdata.spark.output import Telltale
from bigdata.spark.pods import PodState
from bigdata.spark.runtime import LogLine, Outcome, Phase, State

SPARK_APPLICATION = Kind("sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications")

_POD_SECONDS = 10.0


@dataclass(frozen=True)
class OperatorSettings:
    """What the runtime needs to know.

    :param api_client: of the official kubernetes client.
    :param namespace: for an application that names none.
    :param startup_timeout: seconds from the create until the driver runs.
    :param delete_on_termination: delete an application that has ended; one that has not is always deleted.
    :param reattach: wait on an application that this try made before; else delete it and make a new one.
    """

    api_client: Any
    namespace: str = "default"
    startup_timeout: float = 600.0
    delete_on_termination: bool = True
    reattach: bool = True


@dataclass
class OperatorHandle:
    """An application on the cluster.

    :param created: in seconds of the epoch, by the server's clock.
    :param seconds: how long it was in each state before this process began to follow it.
    """

    name: str
    uid: str
    resources: Resources
    drivers: DriverPods
    created: float
    cancelled: bool = False
    driver_pod: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The application's."""
        return self.resources.namespace


class OperatorRuntime:
    """Runs applications by the Spark operator.

    :param log: gets each line of the driver's log.
    """

    def __init__(self, settings: OperatorSettings, log: LogLine) -> None:
        from kubernetes.client import CoreV1Api

        self.settings, self._log = settings, log
        self._core = CoreV1Api(settings.api_client)

    def submit(self, application: Application) -> OperatorHandle:
        """Create the application, or find the one that this try has made before.

        :raises SubmitError: the API server refuses it, or the name is somebody else's.
        """
        namespace = application.namespace or self.settings.namespace
        resources = Resources(self.settings.api_client, SPARK_APPLICATION, namespace)
        try:
            self._delete_earlier(resources, application)
            found, is_new = resources.create(application.with_namespace(namespace).to_dict())
        except ClusterError as error:
            raise SubmitError(f"{application.name}: {error}") from error
        _check_own(application, found, namespace)
        self._log(f"{'Created' if is_new else 'Found'} SparkApplication {namespace}/{application.name}")
        return self.attach(namespace, application.name, found["metadata"]["uid"], _created(found))

    def attach(
        self, namespace: str, name: str, uid: str, created: float, seconds: Mapping[str, float] | None = None
    ) -> OperatorHandle:
        """Take over an application that has been submitted before.

        :param created: when that was, in seconds of the epoch.
        :param seconds: how long it was in each state, as far as somebody else has followed it.
        """
        resources = Resources(self.settings.api_client, SPARK_APPLICATION, namespace)
        drivers = DriverPods(self._core, namespace)
        return OperatorHandle(name, uid, resources, drivers, created, seconds=seconds or {})

    def discard(self, application: Application) -> None:
        """Delete what this try has submitted; harmless if there is nothing.

        :raises ClusterError: the API server does not answer, or refuses.
        """
        namespace = application.namespace or self.settings.namespace
        found = Resources(self.settings.api_client, SPARK_APPLICATION, namespace).read(application.name)
        if found is not None:
            _check_own(application, found, namespace)
            self.cancel(self.attach(namespace, application.name, found["metadata"]["uid"], _created(found)))

    def observe(self, handle: OperatorHandle) -> Iterator[State]:
        """Follow the application's state to its end, streaming the driver's log meanwhile."""
        view = _View(handle, self.settings.startup_timeout)
        with Events(handle.resources, self._core, handle.name, handle.uid) as events:
            for event in events:
                state = self._take(view, event)
                if state and state.outcome:
                    for rest in events.rest():
                        self._take(view, rest)
                    end = view.outcome(state.outcome)
                    yield State(end.phase, end.raw, end.reason, end)
                    return
                if state:
                    yield state

    def cancel(self, handle: OperatorHandle) -> None:
        """Delete the application and its driver, unless it has ended and is to be kept.

        :raises ClusterError: the API server does not answer, or refuses.
        """
        found = handle.resources.read(handle.name)
        if found is not None and found["metadata"]["uid"] == handle.uid:
            has_ended = states.phase(states.raw_state(found)).is_terminal
            handle.cancelled = handle.cancelled or not has_ended
            if has_ended and not self.settings.delete_on_termination:
                return
            handle.driver_pod = states.driver_pod(found) or handle.driver_pod
        handle.resources.delete(handle.name, handle.uid)
        if handle.driver_pod:
            handle.drivers.delete(handle.driver_pod)

    def _take(self, view: _View, event: Event) -> State | None:
        if isinstance(event, str):
            view.seen.see(event)
            self._log(event)
            return None
        return view.take(event)

    def _delete_earlier(self, resources: Resources, application: Application) -> None:
        selector = same_task(application.labels)
        for found in resources.select(selector) if selector else ():
            name, uid = found["metadata"]["name"], found["metadata"]["uid"]
            is_this_try = name == application.name
            has_ended = states.phase(states.raw_state(found)).is_terminal
            if is_this_try and self.settings.reattach and "deletionTimestamp" not in found["metadata"]:
                continue
            if not is_this_try and has_ended and not self.settings.delete_on_termination:
                continue
            self._log(f"Deleting SparkApplication {resources.namespace}/{name}, which an earlier try had left")
            resources.delete(name, uid)


def _created(found: Object) -> float:
    return datetime.fromisoformat(found["metadata"]["creationTimestamp"]).timestamp()


def _check_own(application: Application, found: Object, namespace: str) -> None:
    labels = found["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in application.labels.items()):
        raise SubmitError(
            f"SparkApplication {namespace}/{application.name} exists and is not of this task: "
            "give the application another name, or delete that one"
        )


class _View:
    """What has been seen of an application so far, and what to say of it."""

    def __init__(self, handle: OperatorHandle, startup_timeout: float) -> None:
        self.seen = Telltale()
        self._handle, self._startup_timeout = handle, startup_timeout
        self._application: Mapping[str, Any] = {}
        self._pod: PodState | None = None
        self._raw: str | None = None
        self._since, self._seconds = handle.created, defaultdict[str, float](float, handle.seconds)
        self._has_run = False
        self._told = ""
        self._began = time.monotonic()

    def take(self, event: Object | PodState | None) -> State | None:
        """Take an event in; returns a state to tell, if there is one."""
        if isinstance(event, PodState):
            self._pod = event
        elif event == {}:
            return self._end(Phase.GONE, "deleted", "somebody deleted the SparkApplication")
        elif event is not None and (state := self._changed(event)):
            return state
        return self._overdue() or self._why_pending()

    def outcome(self, end: Outcome) -> Outcome:
        """Complete the outcome by what the log and the pod tell."""
        reason, lines = end.reason, end.last_lines
        code = self._pod.exit_code if self._pod else None
        if self._handle.cancelled:
            end, reason = replace(end, phase=Phase.GONE, raw="cancelled"), "it was cancelled"
        elif end.raw == "FAILED" and self.seen.tail:
            why = failure.explain(list(self.seen.tail), code)
            reason, lines = (self._pod.message if self._pod else "") or why.reason or reason, why.lines
        status = self._application.get("status") or {}
        return replace(
            end,
            exit_code=code,
            reason=reason,
            last_lines=lines,
            application_id=status.get("sparkApplicationId") or self.seen.application_id,
            event_log=self.seen.event_log,
            seconds=dict(self._seconds),
            driver_pod=self._handle.driver_pod,
            executors=dict(Counter((status.get("executorState") or {}).values())),
        )

    def _changed(self, application: Object) -> State | None:
        self._application = application
        self._handle.driver_pod = states.driver_pod(application) or self._handle.driver_pod
        raw, message = states.raw_state(application), states.message(application)
        if raw == self._raw:
            return None
        now = time.time()
        if self._raw is not None:
            self._seconds[self._raw or "NEW"] += now - self._since
        self._raw, self._since = raw, now
        phase = states.phase(raw)
        self._has_run = self._has_run or phase == Phase.RUNNING
        if phase.is_terminal:
            return self._end(phase, raw, "" if phase == Phase.SUCCEEDED else message)
        return State(phase, raw or "NEW", message)

    def _overdue(self) -> State | None:
        if self._has_run:
            return None
        if self._pod and self._pod.is_hopeless:
            return self._end(Phase.FAILED, self._raw or "NEW", f"the driver cannot start: {self._pod.message}")
        if time.time() - self._handle.created < self._startup_timeout:
            return None
        if self._handle.driver_pod and self._pod is None and time.monotonic() - self._began < _POD_SECONDS:
            return None  # the pod will say why
        waited = f"within {self._startup_timeout:.0f} s"
        if not self._raw:
            namespace = self._handle.resources.namespace
            why = f"the Spark operator did not take it up {waited}: does it run, and watch the namespace {namespace}?"
        else:
            why = f"the driver did not start {waited}: {(self._pod.message if self._pod else '') or 'no reason given'}"
        return self._end(Phase.FAILED, self._raw or "NEW", why)

    def _why_pending(self) -> State | None:
        message = self._pod.message if self._pod and not self._has_run else ""
        if not message or message == self._told:
            return None
        self._told = message
        return State(Phase.PENDING, self._raw or "NEW", message)

    def _end(self, phase: Phase, raw: str, reason: str) -> State:
        return State(phase, raw, reason, Outcome(phase, raw, reason=reason))
