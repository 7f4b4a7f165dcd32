"""A SparkApplication as a task: one manifest on this machine, by spark-submit to Kubernetes, or by the Spark operator.

Waiting contract: the application lives no longer than the task's try. It is submitted once per try, its driver's log
goes to the task's log line by line, and whatever ends the try (success, failure, ``execution_timeout``, and a kill
without ``on_kill_action="keep_pod"``) ends the application with it. When the worker itself is killed, ``local`` and
``native`` end it too; by ``kubernetes`` it runs on, for this try or the next to go on with. With ``deferrable=True``
the task waits in the triggerer from the moment the application is created
(:mod:`bigdata.triggers.spark_application`), and the driver's log comes whole at the end.

A DAG file imports this module at each parse, so what only a run needs is imported in the run.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

from bigdata import settings
from bigdata.errors import ConfigError
from bigdata.links import KEYS, LINKS
from bigdata.settings import RuntimeName, Settings
from bigdata.spark.pages import Page

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
    from airflow.sdk import Context

    from bigdata.operators.told import Told
    from bigdata.spark.manifest.application import Application
    from bigdata.spark.runtime import Handle, Outcome, Runtime, State
    from bigdata.triggers.clusters import Cluster

# States and links; the driver's own lines go to the task's logger.
log = logging.getLogger(__name__)


class SparkApplicationOperator(SparkKubernetesOperator):
    """Run a SparkApplication to its end.

    A drop-in for the provider's ``SparkKubernetesOperator``: same arguments, same template fields. What concerns pods
    (``image``, ``namespace``, ``startup_timeout_seconds``, …) has no effect in the local runtime.

    :param runtime: ``local``, ``native`` or ``kubernetes``; default: ``[bigdata] runtime``.
    :param namespace: default: the manifest's, then ``[bigdata] namespace``.
    :param kubernetes_conn_id: default: ``conn_id`` of a manifest in the provider's wrapped form, then ``[bigdata]
        kubernetes_conn_id``.
    :param openlineage_inject_parent_job_info: add the parent run's facts to ``sparkConf``; default: where the
        OpenLineage provider is configured.
    :raises ManifestError: the manifest is wrong; names file and field.
    :raises SubmitError: the application could not be started.
    :raises ApplicationFailed: it failed; carries the exception and the driver log's last lines.
    :raises ConfigError: an argument cannot work here; ``callbacks`` at once, when the DAG is parsed.
    """

    operator_extra_links = LINKS

    def __init__(
        self,
        *,
        runtime: str | None = None,
        namespace: str | None = None,
        kubernetes_conn_id: str | None = None,
        openlineage_inject_parent_job_info: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.callbacks:
            raise ConfigError(
                f"task {self.task_id}: callbacks: they are called with a pod that the operator has made, and here the "
                "Spark operator makes the pods: use on_execute_callback, on_success_callback and the like"
            )
        # The provider's own defaults would not tell whether somebody has chosen them.
        self.namespace, self.kubernetes_conn_id = namespace, kubernetes_conn_id
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
        chosen = self._settings()
        runtime = self._runtime_name(chosen)
        log.info("Runtime: %s", runtime)
        application = self._application(context, runtime)
        if application.dropped:
            log.warning("Without effect in %s: %s", application.source, ", ".join(application.dropped))
        if self.deferrable and runtime is not RuntimeName.KUBERNETES:
            log.info("deferrable=True has no effect with the runtime %s: the worker waits", runtime)
        if runtime is RuntimeName.KUBERNETES and application.is_scheduled:
            return self._put_schedule(chosen, application)
        if runtime is RuntimeName.KUBERNETES and self.deferrable:
            self._submit_and_defer(chosen, application, context)
        made = self._make_runtime(runtime, chosen, context)
        return self._follow(made, self._submit(made, application), chosen)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the trigger has fired: show the driver's log, and turn the application's end into the task's.

        :param event: the trigger's, see :class:`SparkApplicationTrigger`.
        """
        from bigdata.errors import ApplicationGone, ClusterError
        from bigdata.spark.kubernetes.view import DELETED

        chosen = self._settings()
        runtime = self._make_runtime(RuntimeName.KUBERNETES, chosen, context)
        attached = runtime.attach(**event["handle"], seconds=event["seconds"])
        if event["end"] == "done":
            runtime.cancel(attached)
            self._told(context).pod(attached.namespace, event["outcome"]["driver_pod"])
            return event["outcome"]
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
            if not (self._is_killed and self.keeps_on_kill):
                runtime = self._make_runtime(RuntimeName.KUBERNETES, self._settings(), context)
                runtime.discard(self._application(context, RuntimeName.KUBERNETES))
            raise

    def on_kill(self) -> None:
        """End the application and everything it started, or leave it with ``on_kill_action="keep_pod"``.

        Airflow calls this from a signal's handler, and the task goes on from wherever it was.
        """
        self._is_killed = True
        if self._running:
            self._end(*self._running)

    def dry_run(self) -> None:
        """Print the application that would be created, for a run that never was; needs no cluster."""
        import yaml

        from bigdata.operators.application import build, task_try

        application = build(self, task_try(self), RuntimeName.KUBERNETES)
        if not application.namespace:
            application = application.with_namespace(self._settings().namespace)
        print(yaml.safe_dump(application.to_dict(), sort_keys=False))  # noqa: T201

    @cached_property
    def hook(self) -> KubernetesHook:
        """As the provider's, of the cluster that is meant here."""
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

        found = self._cluster
        return KubernetesHook(
            conn_id=found.conn_id,
            in_cluster=found.in_cluster,
            config_file=found.config_file,
            cluster_context=found.context,
        )

    @cached_property
    def _cluster(self) -> Cluster:
        from bigdata.operators.application import cluster

        return cluster(self, self._settings())

    def _settings(self) -> Settings:
        return settings.load(self.dag.fileloc if self.has_dag() else None)

    @property
    def keeps_on_kill(self) -> bool:
        """Whether the application stays when the task is killed."""
        return self.on_kill_action.value == "keep_pod"

    def _runtime_name(self, chosen: Settings) -> RuntimeName:
        try:
            return RuntimeName(self.runtime or chosen.runtime)
        except ValueError:
            raise ConfigError(f"runtime={self.runtime!r}: must be one of {', '.join(RuntimeName)}") from None

    def _application(self, context: Context, runtime: RuntimeName) -> Application:
        from bigdata.operators.application import build, task_try
        from bigdata.operators.lineage import with_parent

        application = build(self, task_try(self, context), runtime)
        if application.is_scheduled and runtime is RuntimeName.KUBERNETES:
            return application
        return with_parent(application, context, self.openlineage_inject_parent_job_info)

    def _submit(self, runtime: Runtime[Any], application: Application) -> Handle:
        from bigdata.errors import ApplicationGone

        handle = runtime.submit(application)
        self._running = (runtime, handle)
        if self._is_killed:
            self._end(runtime, handle)
            raise ApplicationGone(f"{handle.name} is gone: the task was killed")
        return handle

    def _end(self, runtime: Runtime[Any], handle: Handle) -> None:
        if self.keeps_on_kill:
            log.warning("Killed, with on_kill_action=keep_pod: leaving %s", handle.name)
            runtime.leave(handle)
        else:
            log.warning("Killed: ending %s", handle.name)
            runtime.cancel(handle)

    def _follow(self, runtime: Runtime[Any], handle: Handle, chosen: Settings) -> dict[str, Any]:
        from bigdata.spark import pages
        from bigdata.spark.runtime import kept

        with kept(runtime, handle):
            self._running = (runtime, handle)
            if self._is_killed:  # while this process took it over
                self._end(runtime, handle)
            try:
                outcome = _observed(runtime, handle)
            finally:
                self._running = None
        history = pages.history(chosen.history_server_url, outcome.application_id)
        self.pages |= {Page.UI: history, Page.HISTORY: history}
        self._skip(handle, outcome)
        outcome.check(handle.name)
        return outcome.to_dict()

    def _skip(self, handle: Handle, outcome: Outcome) -> None:
        from airflow.sdk.exceptions import AirflowSkipException

        from bigdata.spark.runtime import Phase

        code = outcome.exit_code
        if code is not None and code in self.skip_on_exit_code and outcome.phase != Phase.GONE:
            raise AirflowSkipException(f"{handle.name} ended with exit code {code}: skipped by skip_on_exit_code")

    def _submit_and_defer(self, chosen: Settings, application: Application, context: Context) -> None:
        from bigdata.operators.deferral import trigger_arguments
        from bigdata.spark import pages
        from bigdata.triggers.spark_application import SparkApplicationTrigger

        # First, as an error after the submit would leave the application.
        arguments = trigger_arguments(self, self._cluster)
        handle: Any = self._submit(self._make_runtime(RuntimeName.KUBERNETES, chosen, context), application)
        # What can be said before is: in the triggerer it would wait for what all other tasks have to say.
        told = self._told(context)
        told.pod(handle.namespace, application.with_name(handle.name).driver_pod)
        self.pages[Page.UI] = pages.FORWARDED  # Airflow asks for the links when the task has deferred
        known = told.pushed | {KEYS[Page.UI]: pages.FORWARDED}
        trigger = SparkApplicationTrigger(handle=handle.identity, told=known, **arguments)
        self.defer(trigger=trigger, method_name="resume", timeout=self.execution_timeout)

    def _put_schedule(self, chosen: Settings, application: Application) -> dict[str, Any]:
        from bigdata.spark.kubernetes import schedules

        limit = {"successfulRunHistoryLimit": self.success_run_history_limit}
        application = application.with_schedule_defaults(limit)
        client = self.hook.get_conn()
        return schedules.apply(client, application, chosen.namespace, self.startup_timeout_seconds, self.log.info)

    def _make_runtime(self, name: RuntimeName, chosen: Settings, context: Context) -> Any:
        from bigdata.operators.runtimes import make

        return make(name, self, chosen, self._told(context))

    def _told(self, context: Context) -> Told:
        from bigdata.operators.told import Told

        return Told(self.log.info, self.pages, context["ti"])


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
