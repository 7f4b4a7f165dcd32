"""A SparkApplication as a task: one manifest on this machine, by spark-submit to Kubernetes, or by the Spark operator.

Waiting contract: the application lives no longer than the task's try. It is submitted once per try, its driver's log
goes to the task's log line by line, and whatever ends the try (success, failure, kill, ``execution_timeout``) ends the
application with it. When the worker itself is killed, ``local`` and ``native`` end it too; by ``kubernetes`` it runs
on, for the same try to find it again, and the next try deletes it. With ``deferrable=True`` the task waits in the
triggerer from the moment the application is created (:mod:`bigdata.triggers.spark_application`), and the driver's log
comes whole at the end.

A DAG file imports this module at each parse, so what only a run needs is imported in the run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

from bigdata import settings
from bigdata.errors import ConfigError
from bigdata.links import SparkUILink
from bigdata.settings import RuntimeName, Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bigdata.spark.application import Application
    from bigdata.spark.runtime import Handle, Outcome, Runtime, State

# The provider's default of the argument ``namespace``: not a choice, so the manifest's or the setting's counts.
DEFAULT_NAMESPACE = "default"

# States and links; the driver's own lines go to the task's logger.
log = logging.getLogger(__name__)


class SparkApplicationOperator(SparkKubernetesOperator):
    """Run a SparkApplication to its end.

    A drop-in for the provider's ``SparkKubernetesOperator``: same arguments, same template fields. What concerns pods
    (``image``, ``namespace``, ``startup_timeout_seconds``, …) has no effect in the local runtime.

    :param runtime: ``local``, ``native`` or ``kubernetes``; default: ``[bigdata] runtime``.
    :raises ManifestError: the manifest is wrong; names file and field.
    :raises SubmitError: the application could not be started.
    :raises ApplicationFailed: it failed; carries the exception and the driver log's last lines.
    """

    operator_extra_links = (SparkUILink(),)

    def __init__(self, *, runtime: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.runtime = runtime
        self.spark_ui_url = ""
        # Rendering replaces a file's name by its content, and errors should name the file.
        self.manifest_source = _file_name(self.application_file)
        self._running: tuple[Runtime[Any], Handle] | None = None

    def execute(self, context: Context) -> Any:
        """Run the application by the chosen runtime.

        :return: state, application id, event log and seconds by phase; an XCom with ``do_xcom_push=True``, which the
            provider's operator has off by default.
        """
        chosen = settings.load()
        runtime = self._runtime_name(chosen)
        log.info("Runtime: %s", runtime)
        application = self._application(context)
        if runtime is RuntimeName.KUBERNETES and self.deferrable:
            self._submit_and_defer(chosen, application)
        return self._run(self._make_runtime(runtime, chosen, context), application, chosen)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger has fired: show the driver's log, and turn the application's end into the task's.

        :param event: the trigger's, see :class:`SparkApplicationTrigger`.
        """
        from bigdata.errors import ApplicationGone, ClusterError
        from bigdata.operators.runtimes import operator_runtime

        chosen = settings.load()
        runtime = operator_runtime(self, chosen, self.log.info)
        attached = runtime.attach(**event["handle"], seconds=event["seconds"])
        if event["end"] == "gone":
            raise ApplicationGone(f"{attached.name} is gone: somebody deleted the SparkApplication")
        if event["end"] == "refused":
            runtime.cancel(attached)
            raise ClusterError(attached.name, event["message"])
        return self._follow(runtime, attached, chosen)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As Airflow has it; whatever fails, the trigger or ``execution_timeout`` included, leaves no application."""
        from bigdata.operators.runtimes import operator_runtime

        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except BaseException:
            operator_runtime(self, settings.load(), self.log.info).discard(self._application(context))
            raise

    def on_kill(self) -> None:
        """End the application and everything it started."""
        if self._running:
            runtime, handle = self._running
            log.warning("Killed: ending %s", handle.name)
            runtime.cancel(handle)

    def _runtime_name(self, chosen: Settings) -> RuntimeName:
        try:
            return RuntimeName(self.runtime or chosen.runtime)
        except ValueError:
            raise ConfigError(f"runtime={self.runtime!r}: must be one of {', '.join(RuntimeName)}") from None

    def _application(self, context: Context) -> Application:
        from bigdata.spark.manifest import load
        from bigdata.spark.naming import TaskTry

        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        task_try = TaskTry(ti.dag_id, ti.task_id, ti.run_id or "", map_index, ti.try_number)
        manifest: str | Mapping[str, Any] = self.application_file or self.template_spec
        if not manifest:
            raise ConfigError(f"task {ti.task_id}: application_file or template_spec is needed")
        application = load(manifest, source=self.manifest_source, default_name=task_try.name)
        overrides = {"image": self.image, "mainApplicationFile": self.code_path}
        application = application.with_spec(**{key: value for key, value in overrides.items() if value})
        if self.namespace and self.namespace != DEFAULT_NAMESPACE:
            application = application.with_namespace(self.namespace)
        return application.with_name(task_try.name).with_labels(task_try.labels)

    def _run(self, runtime: Runtime[Any], application: Application, chosen: Settings) -> dict[str, Any]:
        return self._follow(runtime, runtime.submit(application), chosen)

    def _follow(self, runtime: Runtime[Any], handle: Handle, chosen: Settings) -> dict[str, Any]:
        from bigdata.spark.runtime import kept

        with kept(runtime, handle):
            self._running = (runtime, handle)
            try:
                outcome = _observed(runtime, handle)
            finally:
                self._running = None
        self.spark_ui_url = _history_page(chosen, outcome)
        outcome.check(handle.name)
        return outcome.to_dict()

    def _submit_and_defer(self, chosen: Settings, application: Application) -> None:
        from dataclasses import asdict

        from bigdata.operators.runtimes import operator_runtime
        from bigdata.triggers.clusters import Cluster
        from bigdata.triggers.spark_application import SparkApplicationTrigger

        runtime = operator_runtime(self, chosen, self.log.info)
        handle = runtime.submit(application)
        self._running = (runtime, handle)
        cluster = Cluster(self.kubernetes_conn_id, self.in_cluster, self.config_file, self.cluster_context)
        self.defer(
            trigger=SparkApplicationTrigger(
                asdict(cluster), handle.namespace, handle.name, handle.uid, handle.created, self.startup_timeout_seconds
            ),
            method_name="resume",
            timeout=self.execution_timeout,
        )

    def _make_runtime(self, name: RuntimeName, chosen: Settings, context: Context) -> Runtime[Any]:
        from bigdata.operators.runtimes import local_runtime, native_runtime, operator_runtime

        def show_ui(url: str) -> None:
            log.info("Spark UI: %s", url)
            context["ti"].xcom_push(key=SparkUILink().xcom_key, value=url)

        if name is RuntimeName.LOCAL:
            return local_runtime(chosen, self.log.info, show_ui)
        make = native_runtime if name is RuntimeName.NATIVE else operator_runtime
        return make(self, chosen, self.log.info)


def _observed(runtime: Runtime[Any], handle: Handle) -> Outcome:
    for state in runtime.observe(handle):
        _log_state(handle.name, state)
        if state.outcome:
            return state.outcome
    raise AssertionError("a runtime's states end with an outcome")


def _log_state(name: str, state: State) -> None:
    log.info("%s: %s (%s)%s", name, state.phase, state.raw, f": {state.message}" if state.message else "")


def _file_name(application_file: Any) -> str:
    text = str(application_file or "").strip()
    return text if text.endswith((".yaml", ".yml", ".json")) and "\n" not in text else ""


def _history_page(chosen: Settings, outcome: Outcome) -> str:
    if not chosen.history_server_url or not outcome.application_id:
        return ""
    return f"{chosen.history_server_url.rstrip('/')}/history/{outcome.application_id}/"
