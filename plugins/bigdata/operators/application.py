"""What an operator's arguments make of its manifest: the application to run, and the cluster that it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bigdata import settings
from bigdata.errors import ConfigError
from bigdata.settings import RuntimeName, Settings
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load
from bigdata.spark.naming import NAME_VARIABLE, TaskTry, plain_name

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bigdata.operators.spark_application import SparkApplicationOperator
    from bigdata.triggers.clusters import Cluster


def task_try(operator: SparkApplicationOperator, context: Context | None = None) -> TaskTry:
    """The try that a context is of; without one, that of a run which never was."""
    title, instance = operator.name or "", settings.load().instance
    if context is None:
        return TaskTry(operator.dag_id, operator.task_id, "dry_run", title=title, instance=instance)
    ti = context["ti"]
    map_index = -1 if ti.map_index is None else ti.map_index
    return TaskTry(ti.dag_id, ti.task_id, ti.run_id or "", map_index, ti.try_number, title, instance)


def build(operator: SparkApplicationOperator, made_for: TaskTry, runtime: RuntimeName) -> Application:
    """The application, checked, with what arguments and settings say, and with the name and the labels of the try.

    :raises ConfigError: there is no manifest.
    :raises ManifestError: it is wrong, or a value that an argument gives it.
    """
    application = _load(operator, made_for.name if operator.random_name_suffix else operator.task_id)
    if operator.namespace:
        application = application.with_namespace(operator.namespace)
    if runtime is not RuntimeName.LOCAL:
        application = application.with_registry(settings.load().image_registry)
    if application.is_scheduled and runtime is RuntimeName.KUBERNETES:
        return application.with_labels(made_for.task_labels)
    name = made_for.name if operator.random_name_suffix else plain_name(operator.name or application.name)
    application = application.with_name(name).with_labels(made_for.labels)
    return application.with_variable(NAME_VARIABLE, name)


def cluster(operator: SparkApplicationOperator, chosen: Settings) -> Cluster:
    """The cluster by the arguments, else by the manifest in the provider's wrapped form, else by the settings.

    :raises ManifestError: the manifest is wrong.
    """
    from bigdata.triggers.clusters import Cluster

    said = _load(operator, operator.task_id).cluster
    return Cluster(
        conn_id=operator.kubernetes_conn_id or said.get("conn_id") or chosen.kubernetes_conn_id,
        in_cluster=said.get("in_cluster") if operator.in_cluster is None else operator.in_cluster,
        config_file=operator.config_file or said.get("kube_config_file"),
        context=operator.cluster_context or said.get("cluster_context"),
    )


def _load(operator: SparkApplicationOperator, default_name: str) -> Application:
    manifest: str | Mapping[str, Any] | None = operator.application_file or operator.template_spec
    if not manifest:
        raise ConfigError(f"task {operator.task_id}: application_file or template_spec is needed")
    fields = {"image": operator.image, "mainApplicationFile": operator.code_path}
    given = {key: value for key, value in fields.items() if value}
    return load(manifest, operator.manifest_source, plain_name(default_name), given)
