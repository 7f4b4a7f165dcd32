"""Which tasks a success may end in the triggerer: those that leave nothing to do that only a worker does."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, Asset

from bigdata.operators.deferral import trigger_arguments
from bigdata.operators.spark_application import SparkApplicationOperator
from bigdata.triggers.clusters import Cluster


def ends_there(kind: type[SparkApplicationOperator] = SparkApplicationOperator, **arguments: Any) -> bool:
    with DAG("d", schedule=None):
        task = kind(task_id="t", application_file="x.yaml", deferrable=True, **arguments)
    return bool(trigger_arguments(task, Cluster())["ends_task"])


class Own(SparkApplicationOperator):
    """Does something when it is done."""

    def post_execute(self, context: Any, result: Any = None) -> None:
        """See the base class."""


def test_a_plain_task_ends_there() -> None:
    assert ends_there()
    assert ends_there(on_failure_callback=print, on_execute_callback=print, do_xcom_push=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"on_success_callback": print},
        {"outlets": [Asset("a")]},
        {"post_execute": print},
        {"skip_on_exit_code": 0},
        {"delete_on_termination": False},
        {"log_formatter": lambda name, line: line},
        {"multiple_outputs": True},
        {"kind": Own},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_what_needs_a_worker_does_not(arguments: dict[str, Any]) -> None:
    assert not ends_there(**arguments)


def test_neither_does_a_task_over_whose_result_others_are_mapped() -> None:
    from airflow.sdk import task

    @task
    def each(item: Any) -> None:
        """Take one."""

    with DAG("d", schedule=None):
        operator = SparkApplicationOperator(task_id="t", application_file="x.yaml", deferrable=True)
        each.expand(item=operator.output)
    assert not trigger_arguments(operator, Cluster())["ends_task"]
