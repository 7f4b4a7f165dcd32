"""Make a runtime out of the settings, an operator's arguments and Airflow's connections."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bigdata import connections
from bigdata.settings import RuntimeName
from bigdata.spark.pages import Page

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

    from bigdata.operators.told import Told
    from bigdata.settings import Settings
    from bigdata.spark.kubernetes.runtime import OperatorRuntime
    from bigdata.spark.local.runtime import LocalRuntime
    from bigdata.spark.native.runtime import NativeRuntime
    from bigdata.spark.runtime import LogLine


def make(name: RuntimeName, operator: SparkKubernetesOperator, chosen: Settings, told: Told) -> Any:
    """The runtime of that name."""
    makers = {RuntimeName.LOCAL: local_runtime, RuntimeName.NATIVE: native_runtime}
    return makers.get(name, operator_runtime)(operator, chosen, told)


def local_runtime(operator: SparkKubernetesOperator, chosen: Settings, told: Told) -> LocalRuntime:
    """The runtime of this machine; the first one ever downloads the jars of S3A and Kafka.

    :raises StackError: no Java that Spark can use, or the jars cannot be had.
    """
    from bigdata.local.jars import spark_jars
    from bigdata.local.java import find_java
    from bigdata.spark.local.command import LocalSettings
    from bigdata.spark.local.runtime import LocalRuntime

    local = LocalSettings(
        java_home=find_java().home,
        state_dir=chosen.state_dir,
        jobs_root=chosen.jobs_root,
        image_jobs_root=chosen.image_jobs_root,
        jars=tuple(spark_jars(chosen, told.line)),
        secrets=lambda secret, key: connections.secret_value(chosen.secret_connections, secret, key),
        environ=os.environ,
        ivy_settings=chosen.ivy_settings,
    )
    on_line = driver_line(operator, told.line)
    return LocalRuntime(local, told.line, lambda url: told.page(Page.UI, url), on_line=on_line)


def native_runtime(operator: SparkKubernetesOperator, chosen: Settings, told: Told) -> NativeRuntime:
    """The runtime of a cluster without the Spark operator.

    :raises StackError: no Java that spark-submit can use.
    """
    from bigdata.local.java import find_java
    from bigdata.spark.native.runtime import NativeRuntime, NativeSettings

    native = NativeSettings(
        api_client=operator.hook.get_conn(),
        java_home=find_java().home,
        state_dir=chosen.state_dir,
        namespace=chosen.namespace,
        environ=os.environ,
        startup_timeout=operator.startup_timeout_seconds,
        delete_on_termination=operator.delete_on_termination,
    )
    return NativeRuntime(native, told.line, told.pod, driver_line(operator, told.line))


def operator_runtime(operator: SparkKubernetesOperator, chosen: Settings, told: Told) -> OperatorRuntime:
    """The runtime of a cluster with the Spark operator."""
    from bigdata.kubernetes.resources import USER_AGENT
    from bigdata.spark import pages
    from bigdata.spark.kubernetes import states
    from bigdata.spark.kubernetes.runtime import OperatorRuntime, OperatorSettings

    def on_change(application: Mapping[str, Any]) -> None:
        if pod := states.driver_pod(application):
            told.pod(application["metadata"]["namespace"], pod)
        for page, url in pages.live(application, chosen.driver_log_url).items():
            told.page(page, url)
            if page == Page.UI and not pages.ui(application):
                told.line(f"Spark UI: {pages.port_forward(application)}")

    pages.filled(chosen.driver_log_url)  # wrong, it is told before anything runs
    client = operator.hook.get_conn()
    client.user_agent = USER_AGENT
    settings = OperatorSettings(
        api_client=client,
        namespace=chosen.namespace,
        startup_timeout=operator.startup_timeout_seconds,
        delete_on_termination=operator.delete_on_termination,
        reattach=operator.reattach_on_restart,
        keep_succeeded=operator.success_run_history_limit,
        driver_log=operator.get_logs,
    )
    return OperatorRuntime(settings, told.line, on_change, driver_line(operator, told.line))


def driver_line(operator: SparkKubernetesOperator, log: LogLine) -> LogLine:
    """What becomes of a line of the driver's log, by ``get_logs`` and ``log_formatter``."""
    if not operator.get_logs:
        return lambda line: None
    if formatter := operator.log_formatter:
        return lambda line: log(formatter(operator.base_container_name, line))
    return log
