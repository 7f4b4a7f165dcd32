"""Make a runtime out of the settings and Airflow's connections."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bigdata import connections
from bigdata.spark.pages import Page

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

    from bigdata.settings import Settings
    from bigdata.spark.local import LocalRuntime
    from bigdata.spark.native import NativeRuntime
    from bigdata.spark.operated import OperatorRuntime


def local_runtime(chosen: Settings, log: Callable[[str], None], on_ui: Callable[[str], None]) -> LocalRuntime:
    """The runtime of this machine; the first one ever downloads the S3A jars.

    :raises StackError: no Java that Spark can use, or the jars cannot be had.
    """
    from bigdata.local.jars import spark_jars
    from bigdata.local.java import find_java
    from bigdata.spark.command import LocalSettings
    from bigdata.spark.local import LocalRuntime

    local = LocalSettings(
        java_home=find_java().home,
        state_dir=chosen.state_dir,
        jobs_root=chosen.jobs_root,
        image_jobs_root=chosen.image_jobs_root,
        jars=tuple(spark_jars(chosen, log)),
        secrets=lambda secret, key: connections.secret_value(chosen.secret_connections, secret, key),
        environ=os.environ,
        ivy_settings=chosen.ivy_settings,
    )
    return LocalRuntime(local, log, on_ui)


def native_runtime(operator: SparkKubernetesOperator, chosen: Settings, log: Callable[[str], None]) -> NativeRuntime:
    """The runtime of a cluster without the Spark operator, reached as the provider's operator would reach it.

    :raises StackError: no Java that spark-submit can use.
    """
    from bigdata.local.java import find_java
    from bigdata.spark.native import NativeRuntime, NativeSettings

    native = NativeSettings(
        api_client=operator.hook.get_conn(),
        java_home=find_java().home,
        state_dir=chosen.state_dir,
        namespace=chosen.namespace,
        environ=os.environ,
        startup_timeout=operator.startup_timeout_seconds,
        delete_on_termination=operator.delete_on_termination,
    )
    return NativeRuntime(native, log)


def operator_runtime(
    operator: SparkKubernetesOperator,
    chosen: Settings,
    log: Callable[[str], None],
    show: Callable[[Page, str], None] = lambda page, url: None,
) -> OperatorRuntime:
    """The runtime of a cluster with the Spark operator, reached as the provider's operator would reach it.

    :param show: gets the address of each page as soon as it is known.
    """
    from bigdata.spark import pages
    from bigdata.spark.operated import OperatorRuntime, OperatorSettings

    def on_change(application: Mapping[str, Any]) -> None:
        for page, url in pages.live(application, chosen.driver_log_url).items():
            show(page, url)
            if page == Page.UI and not pages.ui(application):
                log(f"Spark UI: {pages.port_forward(application)}")

    settings = OperatorSettings(
        api_client=operator.hook.get_conn(),
        namespace=chosen.namespace,
        startup_timeout=operator.startup_timeout_seconds,
        delete_on_termination=operator.delete_on_termination,
        reattach=operator.reattach_on_restart,
        keep_succeeded=operator.success_run_history_limit,
        driver_log=operator.get_logs,
    )
    return OperatorRuntime(settings, log, on_change)
