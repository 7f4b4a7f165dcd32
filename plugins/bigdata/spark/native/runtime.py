"""The native runtime: a SparkApplication by ``spark-submit --master k8s://``, for clusters without the operator.

Delivery: ``submit`` returns when the driver's pod exists. The pod is the truth from then on: its phase, not
spark-submit's exit code, and its log, line by line. The pod belongs to this process: ``cancel``, or the death of this
process even by SIGKILL (:mod:`bigdata.spark.native.reaper`), deletes it, and with it all that it owns. If the whole
machine dies, the pod runs on until the task's next try, which deletes the pods of earlier tries before it submits its
own.

The submitter needs these rights in the namespace: pods (get, list, watch, create, delete), pods/log (get), and
create, get, update, patch on services, configmaps, secrets and, since Spark 4.2, networkpolicies of
networking.k8s.io. Where the last cannot be had: sparkConf ``spark.kubernetes.driver.pod.excludedFeatureSteps:
org.apache.spark.deploy.k8s.features.NetworkPolicyFeatureStep``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bigdata.errors import SubmitError
from bigdata.spark.driver import failure, pod_template, pods
from bigdata.spark.driver.driver_pods import DriverPods
from bigdata.spark.driver.output import Telltale
from bigdata.spark.driver.pod_watch import PodWatch
from bigdata.spark.driver.pods import PodState
from bigdata.spark.local.command import pyspark_home
from bigdata.spark.manifest.application import Application
from bigdata.spark.native import submission
from bigdata.spark.native.credentials import Credentials
from bigdata.spark.native.reaper import Reaper
from bigdata.spark.runtime import LogLine, Outcome, Phase, State, left
from bigdata.spark.submit import conf, guard
from bigdata.spark.submit.child import Child, make_run_dir, write_private

_CONTAINER = pod_template.CONTAINERS["driver"]
_RENEW_SECONDS = 60.0


@dataclass(frozen=True)
class NativeSettings:
    """What a native submission needs to know.

    :param api_client: of the official kubernetes client; its credentials are spark-submit's too.
    :param namespace: for an application that names none.
    :param java_home: of a Java for spark-submit.
    :param state_dir: where the submission's folder is made.
    :param environ: the environment of this process; see :mod:`bigdata.spark.submit.environment` for what is passed on.
    :param startup_timeout: seconds until the driver must run.
    :param delete_on_termination: delete the driver's pod when it has ended; False keeps it, with its log.
    """

    api_client: Any
    java_home: Path
    state_dir: Path
    namespace: str = "default"
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    spark_home: Path = field(default_factory=pyspark_home)
    startup_timeout: float = 600.0
    delete_on_termination: bool = True


@dataclass
class NativeHandle:
    """A driver's pod."""

    name: str
    drivers: DriverPods
    pod: str
    uid: str
    application_id: str
    started: float
    reaper: Reaper
    watch: PodWatch | None = None
    cancelled: bool = False
    left: bool = False


class NativeRuntime:
    """Runs applications as pods, without the operator.

    :param log: gets what the runtime has to say, and each line of spark-submit's output.
    :param on_pod: gets the driver pod's namespace and name as soon as it exists.
    :param on_line: gets each line of the driver's log; default: ``log``.
    """

    def __init__(
        self,
        settings: NativeSettings,
        log: LogLine,
        on_pod: Callable[[str, str], None] = lambda namespace, name: None,
        on_line: LogLine | None = None,
    ) -> None:
        from kubernetes.client import CoreV1Api

        self.settings, self._log, self._on_pod, self._on_line = settings, log, on_pod, on_line or log
        self._core = CoreV1Api(settings.api_client)

    def submit(self, application: Application) -> NativeHandle:
        """Run spark-submit, and find the driver's pod.

        :raises SubmitError: spark-submit failed, or the API server refused.
        """
        namespace = application.namespace or self.settings.namespace
        drivers, pod = DriverPods(self._core, namespace), application.driver_pod
        for earlier in drivers.delete_earlier(application, pod):
            self._log(f"Deleted pod {namespace}/{earlier}, which an earlier try had left")
        reaper = Reaper()
        self._instruct(reaper, namespace, pod, "")
        try:
            self._spark_submit(application, namespace)
            found = drivers.read(pod)
            if found is None:
                raise SubmitError(f"{application.name}: spark-submit succeeded, but there is no pod {namespace}/{pod}")
            uid, app_id = found.metadata.uid, found.metadata.labels.get("spark-app-selector", "")
            self._instruct(reaper, namespace, pod, uid)
            self._on_pod(namespace, pod)
        except BaseException:
            try:
                drivers.delete(pod)
                reaper.dismiss()
            except SubmitError:
                reaper.let_go()
            raise
        self._log(f"Driver pod: {namespace}/{pod}; Spark UI: kubectl -n {namespace} port-forward {pod} 4040")
        return NativeHandle(application.name, drivers, pod, uid, app_id, time.monotonic(), reaper)

    def observe(self, handle: NativeHandle) -> Iterator[State]:
        """Follow the driver's pod to its end, streaming its log meanwhile."""
        namespace = handle.drivers.namespace
        watch = handle.watch = PodWatch(self._core, namespace, handle.pod, handle.uid, _CONTAINER)
        clock, seen = _Clock(handle.started, self.settings.startup_timeout), Telltale()
        told: PodState | None = None
        renewed = time.monotonic()
        try:
            for event in watch.events(tick=1.0):
                if handle.left:
                    yield left()
                    return
                if time.monotonic() - renewed > _RENEW_SECONDS:
                    renewed = time.monotonic()
                    self._instruct(handle.reaper, namespace, handle.pod, handle.uid)
                if isinstance(event, str):
                    seen.see(event)
                    self._on_line(event)
                    continue
                state = clock.judge(event or told)
                if state is None or (told and (state.phase, state.message) == (told.phase, told.message)):
                    continue
                told = state
                outcome = _outcome(handle, state, seen, clock) if state.phase.is_terminal else None
                if outcome:
                    yield State(outcome.phase, outcome.raw, outcome.reason, outcome)
                    return
                yield State(state.phase, state.raw, state.message)
        finally:
            watch.stop()

    def cancel(self, handle: NativeHandle) -> None:
        """Delete the driver's pod, unless it has ended and is to be kept, or was left; returns when it is gone.

        :raises SubmitError: the API server does not answer, or refuses; the reaper goes on trying for a while.
        """
        if handle.left:
            return
        try:
            pod = handle.drivers.read(handle.pod)
            if pod is not None and pod.metadata.uid == handle.uid:
                has_ended = pods.read(
                    self.settings.api_client.sanitize_for_serialization(pod), _CONTAINER
                ).phase.is_terminal
                handle.cancelled = handle.cancelled or not has_ended
                if self.settings.delete_on_termination or not has_ended:
                    handle.drivers.delete(handle.pod, handle.uid)
            handle.reaper.dismiss()
        except BaseException:
            handle.reaper.let_go()
            raise
        finally:
            if handle.watch:
                handle.watch.stop()

    def leave(self, handle: NativeHandle) -> None:
        """Let the driver's pod run on; the task's next try deletes it."""
        handle.left = True
        handle.reaper.dismiss()

    def _spark_submit(self, application: Application, namespace: str) -> None:
        credentials = Credentials.of(self.settings.api_client)
        run_dir = make_run_dir(self.settings.state_dir / "spark-runs", application.name)
        try:
            place = submission.Place(
                credentials.server,
                namespace,
                run_dir,
                self.settings.java_home,
                self.settings.spark_home,
                credentials.kubeconfig(),
                self.settings.environ,
            )
            planned = submission.plan(application, place, conf.render)
            place.conf_dir.mkdir()
            for file, text in planned.files.items():
                write_private(file, text)
            child = Child(planned.argv, planned.environment, run_dir, run_dir, grace=5.0)
        except BaseException:
            guard.remove(run_dir)
            raise
        if planned.not_applied:
            self._log(f"Not applied without the operator: {', '.join(planned.not_applied)}")
        seen = Telltale()
        try:
            for line in child.lines():
                if line is not None:
                    seen.see(line)
                    self._log(line)
        finally:
            child.end()
        if child.code:
            raise SubmitError(f"{application.name}: {failure.explain(list(seen.tail), child.code).reason}")

    def _instruct(self, reaper: Reaper, namespace: str, pod: str, uid: str) -> None:
        credentials = asdict(Credentials.of(self.settings.api_client))
        url = f"{credentials.pop('server')}/api/v1/namespaces/{namespace}/pods/{pod}"
        reaper.watch(url, uid=uid, **credentials)


class _Clock:
    """Measures the phases, and tells when a driver has had its time to start."""

    def __init__(self, started: float, startup_timeout: float) -> None:
        self.seconds: dict[str, float] = {}
        self._startup_timeout = startup_timeout
        self._started = self._since = started
        self._phase = Phase.PENDING

    def judge(self, state: PodState | None) -> PodState | None:
        """Take a state in; returns it, or in its place the end of a driver that cannot start or did not in time."""
        now = time.monotonic()
        if state is None or state.phase == Phase.PENDING:
            late = now - self._started > self._startup_timeout
            why = (state.message if state else "") or "no reason given"
            if state and state.is_hopeless:
                state = PodState(Phase.FAILED, state.raw, f"the driver cannot start: {why}")
            elif late:
                text = f"the driver did not start within {self._startup_timeout:.0f} s: {why}"
                state = PodState(Phase.FAILED, "Pending", text)
        if state and state.phase != self._phase:
            self.seconds[self._phase] = now - self._since
            self._phase, self._since = state.phase, now
        return state


def _outcome(handle: NativeHandle, state: PodState, seen: Telltale, clock: _Clock) -> Outcome:
    known = Outcome(
        state.phase,
        state.raw,
        state.exit_code,
        application_id=handle.application_id,
        event_log=seen.event_log,
        seconds=clock.seconds,
    )
    if handle.cancelled:
        return replace(known, phase=Phase.GONE, raw="cancelled", reason="it was cancelled")
    if state.phase != Phase.FAILED:
        return replace(known, reason="" if state.phase == Phase.SUCCEEDED else state.message)
    why = failure.explain(list(seen.tail), state.exit_code)
    raw = state.raw if state.exit_code is None else f"exit code {state.exit_code}"
    # When Kubernetes ended it, or could not begin it, it knows better than the log.
    return replace(known, raw=raw, reason=state.message or why.reason, last_lines=why.lines)
