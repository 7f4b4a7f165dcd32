"""The kubernetes runtime: a SparkApplication by the Kubeflow Spark operator, waited on by its own state.

Contract. The resource's name is a function of the task's try, and the create is idempotent: a process that died between
create and save finds the application again and waits on, and so does the next try after one that died
(:mod:`bigdata.spark.kubernetes.tries`), so that there is one application a try. ``.status.applicationState`` alone
decides how it ended; the driver's pod adds its log, and tells why it does not start. ``cancel`` deletes the application
by name and uid; one that has not ended is gone with its driver and executors when it returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bigdata.errors import ClusterError, SubmitError
from bigdata.kubernetes.resources import Kind, Object, Resources
from bigdata.spark.driver.driver_pods import DriverPods
from bigdata.spark.kubernetes import evidence, states
from bigdata.spark.kubernetes.events import Event, Events
from bigdata.spark.kubernetes.tries import DIGEST, SEEN, Tries, digest, own
from bigdata.spark.kubernetes.view import View
from bigdata.spark.manifest.application import Application
from bigdata.spark.naming import TRY
from bigdata.spark.runtime import LogLine, Phase, State, left

SPARK_APPLICATION = Kind("sparkoperator.k8s.io", "v1beta2", "SparkApplication", "sparkapplications")

# How long after its end the operator itself deletes an application that nobody has deleted.
_LEFT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class OperatorSettings:
    """What the runtime needs to know.

    :param api_client: of the official kubernetes client.
    :param namespace: for an application that names none.
    :param startup_timeout: seconds until the driver must run.
    :param delete_on_termination: delete what has ended, too; what has not is always deleted.
    :param reattach: go on with the application that a process of the same try, or an earlier try, has left.
    :param keep_succeeded: without ``delete_on_termination``, how many applications of a task that succeeded are kept.
    :param driver_log: stream the driver's log; without it, a failure is told by the pod's exit code alone.
    """

    api_client: Any
    namespace: str = "default"
    startup_timeout: float = 600.0
    delete_on_termination: bool = True
    reattach: bool = True
    keep_succeeded: int = 1
    driver_log: bool = True


@dataclass
class OperatorHandle:
    """An application on the cluster.

    :param created: in seconds of the epoch, by the server's clock.
    :param try_number: of the try that it belongs to, as its label has it.
    :param seconds: how long it was in each state before this process began to follow it.
    """

    name: str
    uid: str
    resources: Resources
    drivers: DriverPods
    created: float
    try_number: str = ""
    cancelled: bool = False
    left: bool = False
    driver_pod: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The application's."""
        return self.resources.namespace

    @property
    def identity(self) -> dict[str, Any]:
        """What :meth:`OperatorRuntime.attach` takes, as JSON can have it."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "created": self.created,
            "try_number": self.try_number,
        }


class OperatorRuntime:
    """Runs applications by the Spark operator.

    :param log: gets what the runtime has to say.
    :param on_change: gets the application each time its state or its driver's pod has changed.
    :param on_line: gets each line of the driver's log; default: ``log``.
    """

    def __init__(
        self,
        settings: OperatorSettings,
        log: LogLine,
        on_change: Callable[[Object], None] = lambda application: None,
        on_line: LogLine | None = None,
    ) -> None:
        from kubernetes.client import CoreV1Api

        self.settings, self._log, self._on_change, self._on_line = settings, log, on_change, on_line or log
        self._core = CoreV1Api(settings.api_client)

    def submit(self, application: Application) -> OperatorHandle:
        """Create the application, or go on with the one that this try or an earlier one has left.

        :raises SubmitError: the API server refuses it, or the name is somebody else's.
        """
        resources = self._resources(application)
        try:
            found = taken = self._tries(resources).settle(application)
            if found is None:
                if application.labels.get(TRY, "1") != "1":
                    DriverPods(self._core, resources.namespace).await_earlier(application.labels)
                named = application.with_namespace(resources.namespace).with_annotations({DIGEST: digest(application)})
                if self.settings.delete_on_termination and "timeToLiveSeconds" not in named.spec:
                    # Nobody may be left to delete it, as when a worker dies at the last try.
                    named = named.with_spec(timeToLiveSeconds=_LEFT_SECONDS)
                found, is_new = resources.create(named.to_dict())
                _check_own(application, found, resources.namespace)
                how = "Created" if is_new else "Found"
                self._log(f"{how} SparkApplication {resources.namespace}/{application.name}")
        except ClusterError as error:
            if error.is_transient:  # it may have been created, and only the answer was lost
                with suppress(ClusterError):
                    self.discard(application)
            raise SubmitError(f"{application.name}: {error}") from error
        except SubmitError:
            raise
        except BaseException:  # a timeout between the create and its answer
            self.discard(application)
            raise
        handle = self._handle(resources, found, application.labels.get(TRY, ""))
        # Nobody has waited before: the time to start begins now.
        return handle if taken is None else replace(handle, created=time.time())

    def attach(
        self,
        namespace: str,
        name: str,
        uid: str,
        created: float,
        seconds: Mapping[str, float] | None = None,
        try_number: str = "",
    ) -> OperatorHandle:
        """Take over an application that has been submitted before.

        :param created: when that was, in seconds of the epoch.
        :param seconds: how long it was in each state, as far as somebody else has followed it.
        :param try_number: of the caller, as the label has it.
        """
        resources = Resources(self.settings.api_client, SPARK_APPLICATION, namespace)
        drivers = DriverPods(self._core, namespace)
        return OperatorHandle(name, uid, resources, drivers, created, try_number, seconds=seconds or {})

    def discard(self, application: Application) -> None:
        """Delete what belongs to the application's try; harmless if there is nothing.

        :raises ClusterError: the API server does not answer, or refuses.
        """
        resources = self._resources(application)
        for found in self._tries(resources).of_try(application):
            self.cancel(self._handle(resources, found, application.labels.get(TRY, "")))

    def observe(self, handle: OperatorHandle) -> Iterator[State]:
        """Follow the application's state to its end, streaming the driver's log meanwhile."""
        view = View(handle, self.settings.startup_timeout, self._on_change)
        with Events(handle.resources, self._core, handle.name, handle.uid, self.settings.driver_log) as events:
            for event in events:
                if handle.left:
                    yield left()
                    return
                state = self._take(view, event)
                if state and state.outcome:
                    if state.phase == Phase.GONE or states.phase(state.raw).is_terminal:
                        for rest in events.rest():
                            self._take(view, rest)
                    self._explain(view, state)
                    end = view.outcome(state.outcome)
                    yield State(end.phase, end.raw, end.reason, end)
                    return
                if state:
                    yield state

    def cancel(self, handle: OperatorHandle) -> None:
        """Delete the application and its driver, unless it has ended and is to be kept, is another try's by now, or
        was left.

        :raises ClusterError: the API server does not answer, or refuses.
        """
        if handle.left:
            return
        found = handle.resources.read(handle.name)
        if found is not None and found["metadata"]["uid"] == handle.uid:
            if not own(found, handle.try_number):
                self._log(f"{handle.name} belongs to a later try by now")
                return
            handle.driver_pod = states.driver_pod(found) or handle.driver_pod
            if states.phase(states.raw_state(found)).is_terminal:
                self._let_go(handle, found)
                return
            handle.cancelled = True
        handle.resources.delete(handle.name, handle.uid)
        if handle.driver_pod:
            handle.drivers.delete(handle.driver_pod)

    def leave(self, handle: OperatorHandle) -> None:
        """Let the application run on; the task's next try goes on with it."""
        handle.left = True

    def _let_go(self, handle: OperatorHandle, found: Object) -> None:
        """Nothing runs any more, so that nothing is waited for."""
        if self.settings.delete_on_termination:
            handle.resources.delete(handle.name, handle.uid, wait=0)
            return
        handle.resources.patch(handle.name, SEEN)
        if states.phase(states.raw_state(found)) == Phase.SUCCEEDED:
            self._tries(handle.resources).prune(found["metadata"].get("labels") or {}, self.settings.keep_succeeded)

    def _take(self, view: View, event: Event) -> State | None:
        if isinstance(event, str):
            view.seen.see(event)
            self._on_line(event)
            return None
        return view.take(event)

    def _explain(self, view: View, end: State) -> None:
        if end.phase == Phase.FAILED and view.application:
            for line in evidence.gather(self._core, view.application, view.seen.lost):
                self._log(line)

    def _resources(self, application: Application) -> Resources:
        namespace = application.namespace or self.settings.namespace
        return Resources(self.settings.api_client, SPARK_APPLICATION, namespace)

    def _tries(self, resources: Resources) -> Tries:
        settings = self.settings
        return Tries(
            resources, reattach=settings.reattach, keep_ended=not settings.delete_on_termination, log=self._log
        )

    def _handle(self, resources: Resources, found: Object, try_number: str) -> OperatorHandle:
        metadata = found["metadata"]
        created = datetime.fromisoformat(metadata["creationTimestamp"]).timestamp()
        return self.attach(resources.namespace, metadata["name"], metadata["uid"], created, try_number=try_number)


def _check_own(application: Application, found: Object, namespace: str) -> None:
    labels = found["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in application.labels.items()):
        raise SubmitError(
            f"SparkApplication {namespace}/{application.name} exists and is not of this task and run: "
            "give the application another name, or delete that one"
        )
