"""What an operator tells the trigger that waits in its place."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

if TYPE_CHECKING:
    from bigdata.operators.spark_application import SparkApplicationOperator
    from bigdata.triggers.clusters import Cluster


def trigger_arguments(operator: SparkApplicationOperator, cluster: Cluster) -> dict[str, Any]:
    """The arguments of a :class:`SparkApplicationTrigger`, but for the application's handle."""
    return {
        "cluster": asdict(cluster),
        "startup_timeout": operator.startup_timeout_seconds,
        "keep_on_kill": operator.keeps_on_kill,
        "ends_task": _can_end_there(operator),
        "driver_log": operator.get_logs,
        "xcom": operator.do_xcom_push,
    }


def _can_end_there(operator: SparkApplicationOperator) -> bool:
    """Whether a success leaves nothing to do that only a worker does."""
    from airflow.sdk.listener import get_listener_manager

    from bigdata.operators.spark_application import SparkApplicationOperator

    hooks = (type(operator).post_execute, type(operator).resume)
    is_plain = hooks == (SparkKubernetesOperator.post_execute, SparkApplicationOperator.resume)
    # Airflow gives mapped tasks the length of a result only when a worker pushes it.
    mapped = operator.iter_mapped_dependants() if operator.has_dag() else ()
    is_mapped_over = operator.multiple_outputs or next(iter(mapped), None)
    shows_lines_otherwise = operator.get_logs and operator.log_formatter
    return (
        operator.delete_on_termination
        and is_plain
        and not (operator.outlets or operator._post_execute_hook or 0 in operator.skip_on_exit_code)
        # Airflow calls it in a worker alone.
        and not operator.on_success_callback
        and not shows_lines_otherwise
        and not is_mapped_over
        and not get_listener_manager().has_listeners
    )
