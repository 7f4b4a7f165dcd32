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
from bigdata.links import KEYS, LINKS
from bigdata.settings import RuntimeName, Settings
from bigdata.spark.pages import Page

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
    :param openlineage_inject_parent_job_info: add the parent run's facts to ``sparkConf``; default: where the
        OpenLineage provider is configured.
    :raises ManifestError: the manifest is wrong; names file and field.
    :raises SubmitError: the application could not be started.
    :raises ApplicationFailed: it failed; carries the exception and the driver log's last lines.
    """

    operator_extra_links = LINKS

    def __init__(
        self, *, runtime: str | None = None, openlineage_inject_parent_job_info: bool | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.runtime = runtime
        self.openlineage_inject_parent_job_info = openlineage_inject_parent_job_info
        self.pages: dict[str, str] = {}
        # Rendering replaces a file's name by its content, and errors should name the file.
        self.manifest_source = _file_name(self.application_file)
        self._running: tuple[Runtime[Any], Handle] | None = None
        self._is_killed = False

    def execute(self, context: Context) -> Any:
        """Run the application by the chosen runtime.

        :return: state, application id, event log and seconds by phase; an XCom with ``do_xcom_push=True``, which the
            provider's operator has off by default.
        """
        chosen = settings.load()
        runtime = self._runtime_name(chosen)
        log.info("Runtime: %s", runtime)
        application = self._application(context, runtime)
        if runtime is RuntimeName.KUBERNETES and application.is_scheduled:
            return self._put_schedule(chosen, application)
        if runtime is RuntimeName.KUBERNETES and self.deferrable:
            self._submit_and_defer(chosen, application)
        made = self._make_runtime(runtime, chosen, context)
        return self._follow(made, self._submit(made, application), chosen)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger has fired: show the driver's log, and turn the application's end into the task's.

        :param event: the trigger's, see :class:`SparkApplicationTrigger`.
        """
        from bigdata.errors import ApplicationGone, ClusterError
        from bigdata.spark.operated_view import DELETED

        chosen = settings.load()
        runtime = self._make_runtime(RuntimeName.KUBERNETES, chosen, context)
        attached = runtime.attach(**event["handle"], seconds=event["seconds"])
        if event["end"] == "gone":
            raise ApplicationGone(f"{attached.name} is gone: {DELETED}")
        if event["end"] == "refused":
            runtime.cancel(attached)
            raise ClusterError(attached.name, event["message"])
        return self._follow(runtime, attached, chosen)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As Airflow has it; whatever fails, the trigger or ``execution_timeout`` included, leaves no application."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except BaseException:
            runtime = self._make_runtime(RuntimeName.KUBERNETES, settings.load(), context)
            runtime.discard(self._application(context, RuntimeName.KUBERNETES))
            raise

    def on_kill(self) -> None:
        """End the application and everything it started.

        Airflow calls this from a signal's handler, and the task goes on from wherever it was.
        """
        self._is_killed = True
        if self._running:
            runtime, handle = self._running
            log.warning("Killed: ending %s", handle.name)
            runtime.cancel(handle)

    def _runtime_name(self, chosen: Settings) -> RuntimeName:
        try:
            return RuntimeName(self.runtime or chosen.runtime)
        except ValueError:
            raise ConfigError(f"runtime={self.runtime!r}: must be one of {', '.join(RuntimeName)}") from None

    def _application(self, context: Context, runtime: RuntimeName) -> Application:
        from bigdata.operators.lineage import with_parent
        from bigdata.spark.manifest import load
        from bigdata.spark.naming import TaskTry

        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        task_try = TaskTry(ti.dag_id, ti.task_id, ti.run_id or "", map_index, ti.try_number, title=self.name or "")
        manifest: str | Mapping[str, Any] = self.application_file or self.template_spec
        if not manifest:
            raise ConfigError(f"task {ti.task_id}: application_file or template_spec is needed")
        application = load(manifest, source=self.manifest_source, default_name=task_try.name)
        overrides = {"image": self.image, "mainApplicationFile": self.code_path}
        application = application.with_spec(**{key: value for key, value in overrides.items() if value})
        if self.namespace and self.namespace != DEFAULT_NAMESPACE:
            application = application.with_namespace(self.namespace)
        if application.is_scheduled and runtime is RuntimeName.KUBERNETES:
            return application.with_labels(task_try.task_labels)
        application = application.with_name(task_try.name).with_labels(task_try.labels)
        return with_parent(application, context, self.openlineage_inject_parent_job_info)

    def _submit(self, runtime: Runtime[Any], application: Application) -> Handle:
        from bigdata.errors import ApplicationGone

        handle = runtime.submit(application)
        self._running = (runtime, handle)
        if self._is_killed:
            runtime.cancel(handle)
            raise ApplicationGone(f"{handle.name} is gone: the task was killed")
        return handle

    def _follow(self, runtime: Runtime[Any], handle: Handle, chosen: Settings) -> dict[str, Any]:
        from bigdata.spark import pages
        from bigdata.spark.runtime import kept

        with kept(runtime, handle):
            self._running = (runtime, handle)
            try:
                outcome = _observed(runtime, handle)
            finally:
                self._running = None
        history = pages.history(chosen.history_server_url, outcome.application_id)
        self.pages |= {Page.UI: history, Page.HISTORY: history}
        outcome.check(handle.name)
        return outcome.to_dict()

    def _submit_and_defer(self, chosen: Settings, application: Application) -> None:
        from dataclasses import asdict

        from bigdata.operators.runtimes import operator_runtime
        from bigdata.triggers.clusters import Cluster
        from bigdata.triggers.spark_application import SparkApplicationTrigger

        handle: Any = self._submit(operator_runtime(self, chosen, self.log.info), application)
        cluster = Cluster(self.kubernetes_conn_id, self.in_cluster, self.config_file, self.cluster_context)
        self.defer(
            trigger=SparkApplicationTrigger(asdict(cluster), handle.identity, self.startup_timeout_seconds),
            method_name="resume",
            timeout=self.execution_timeout,
        )

    def _put_schedule(self, chosen: Settings, application: Application) -> dict[str, Any]:
        from bigdata.spark import schedules

        limit = {"successfulRunHistoryLimit": self.success_run_history_limit}
        application = application.with_schedule_defaults(limit)
        client = self.hook.get_conn()
        return schedules.apply(client, application, chosen.namespace, self.startup_timeout_seconds, self.log.info)

    def _make_runtime(self, name: RuntimeName, chosen: Settings, context: Context) -> Any:
        from bigdata.operators.runtimes import local_runtime, native_runtime, operator_runtime

        def show(page: Page, url: str) -> None:
            if url and self.pages.get(page) != url:
                self.pages[page] = url
                log.info("%s: %s", page, url)
                context["ti"].xcom_push(key=KEYS[page], value=url)

        if name is RuntimeName.LOCAL:
            return local_runtime(chosen, self.log.info, lambda url: show(Page.UI, url))
        if name is RuntimeName.NATIVE:
            return native_runtime(self, chosen, self.log.info)
        return operator_runtime(self, chosen, self.log.info, show)


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
