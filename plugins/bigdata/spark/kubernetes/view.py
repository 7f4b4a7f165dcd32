"""What has been seen of an application of the operator, put together: its states, how long each lasted, its outcome."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.resources import Object
from bigdata.spark.driver import failure
from bigdata.spark.driver.output import Telltale
from bigdata.spark.driver.pods import PodState
from bigdata.spark.kubernetes import states
from bigdata.spark.kubernetes.durations import Durations
from bigdata.spark.runtime import Outcome, Phase, State

if TYPE_CHECKING:
    from bigdata.spark.kubernetes.runtime import OperatorHandle

_POD_SECONDS = 10.0
# https://github.com/kubeflow/spark-operator/issues/2755
_UNSEEN = (
    "the Spark operator calls it failed, but its driver ended with exit code 0: the job itself did not fail, and the "
    "operator missed its end (spark-operator issue 2755)"
)
DELETED = "somebody deleted the SparkApplication, or its spec.timeToLiveSeconds did"


class View:
    """What has been seen of an application so far, and what to say of it.

    :param on_change: gets the application each time its state or its driver's pod has changed.
    """

    def __init__(
        self, handle: OperatorHandle, startup_timeout: float, on_change: Callable[[Object], None] = lambda found: None
    ) -> None:
        self.seen = Telltale()
        self.application: Mapping[str, Any] = {}
        self._handle, self._startup_timeout, self._on_change = handle, startup_timeout, on_change
        self._pod: PodState | None = None
        self._durations = Durations(handle.seconds)
        self._has_run = False
        self._told = ""
        self._began = time.monotonic()

    def take(self, event: Object | PodState | None) -> State | None:
        """Take an event in; returns a state to tell, if there is one."""
        if isinstance(event, PodState):
            self._pod = event
        elif event == {}:
            return self._end(Phase.GONE, "deleted", DELETED)
        elif event is not None and (state := self._changed(event)):
            return state
        return self._overdue() or self._why_pending()

    def outcome(self, end: Outcome) -> Outcome:
        """Complete the outcome by what the log and the pod tell."""
        reason, lines = end.reason, end.last_lines
        code = self._pod.exit_code if self._pod else None
        if self._handle.cancelled:
            end, reason = replace(end, phase=Phase.GONE, raw="cancelled"), "it was cancelled"
        elif end.raw == "FAILED" and code == 0:
            reason = f"{_UNSEEN}; the operator says: {reason or 'nothing'}"
        elif end.raw == "FAILED" and self.seen.tail:
            why = failure.explain(list(self.seen.tail), code)
            reason, lines = (self._pod.message if self._pod else "") or why.reason or reason, why.lines
        status = self.application.get("status") or {}
        return replace(
            end,
            exit_code=code,
            reason=reason,
            last_lines=lines,
            application_id=status.get("sparkApplicationId") or self.seen.application_id,
            event_log=self.seen.event_log,
            seconds=self._durations.seconds,
            driver_pod=self._handle.driver_pod,
            executors=dict(Counter((status.get("executorState") or {}).values())),
        )

    def _changed(self, application: Object) -> State | None:
        self.application = application
        pod, known = states.driver_pod(application), self._handle.driver_pod
        self._handle.driver_pod = pod or known
        raw, message = states.raw_state(application), states.message(application)
        if raw != self._durations.raw or (pod and pod != known):
            self._on_change(application)
        if not self._durations.see(application):
            return None
        phase = states.phase(raw)
        self._has_run = self._has_run or states.has_run(application)
        if phase.is_terminal:
            return self._end(phase, raw, "" if phase == Phase.SUCCEEDED else message)
        return State(phase, raw or "NEW", message)

    def _overdue(self) -> State | None:
        if self._has_run:
            return None
        if self._pod and self._pod.is_hopeless:
            return self._end(
                Phase.FAILED, self._durations.raw or "NEW", f"the driver cannot start: {self._pod.message}"
            )
        if time.time() - self._handle.created < self._startup_timeout:
            return None
        if self._handle.driver_pod and self._pod is None and time.monotonic() - self._began < _POD_SECONDS:
            return None  # the pod will say why
        try:
            return self._changed_meanwhile() or self._not_started()
        except ClusterError:
            return None  # nobody can tell now; what lasts, the watch raises

    def _changed_meanwhile(self) -> State | None:
        """What is known may be old, as after a time without the API server."""
        found = self._handle.resources.read(self._handle.name)
        if found is None or found["metadata"]["uid"] != self._handle.uid:
            return self._end(Phase.GONE, "deleted", DELETED)
        return self._changed(found)

    def _not_started(self) -> State:
        waited = f"within {self._startup_timeout:.0f} s"
        if not self._durations.raw:
            namespace = self._handle.resources.namespace
            why = f"the Spark operator did not take it up {waited}: does it run, and watch the namespace {namespace}?"
        else:
            why = f"the driver did not start {waited}: {(self._pod.message if self._pod else '') or 'no reason given'}"
        return self._end(Phase.FAILED, self._durations.raw or "NEW", why)

    def _why_pending(self) -> State | None:
        message = self._pod.message if self._pod and not self._has_run else ""
        if not message or message == self._told:
            return None
        self._told = message
        return State(Phase.PENDING, self._durations.raw or "NEW", message)

    def _end(self, phase: Phase, raw: str, reason: str) -> State:
        return State(phase, raw, reason, Outcome(phase, raw, reason=reason))
