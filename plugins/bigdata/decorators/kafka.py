"""``@task.kafka_produce`` and ``@task.kafka_consume``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory

from bigdata.operators.kafka_consume import KafkaConsumeOperator
from bigdata.operators.kafka_produce import KafkaProduceOperator

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import TaskDecorator


class KafkaProduceDecorated(DecoratedOperator, KafkaProduceOperator):  # type: ignore[misc]
    """Sends what the function returns or yields."""

    custom_operator_name = "@task.kafka_produce"
    template_fields = tuple(dict.fromkeys((*DecoratedOperator.template_fields, *KafkaProduceOperator.template_fields)))
    shallow_copy_attrs = ("python_callable", *KafkaProduceOperator.shallow_copy_attrs)

    def __init__(self, *, python_callable: Callable[..., Any], **kwargs: Any) -> None:
        given = {key: kwargs.get(key) for key in ("op_args", "op_kwargs")}
        super().__init__(
            python_callable=python_callable, kwargs_to_upstream=given | {"source": python_callable}, **kwargs
        )


class KafkaConsumeDecorated(DecoratedOperator, KafkaConsumeOperator):  # type: ignore[misc]
    """Hands records to the function as its first argument; the other arguments are those of the call in the DAG."""

    custom_operator_name = "@task.kafka_consume"
    template_fields = tuple(dict.fromkeys((*DecoratedOperator.template_fields, *KafkaConsumeOperator.template_fields)))
    shallow_copy_attrs = ("python_callable", *KafkaConsumeOperator.shallow_copy_attrs)

    def __init__(self, *, python_callable: Callable[..., Any], **kwargs: Any) -> None:
        given = {key: kwargs.get(key) for key in ("op_args", "op_kwargs")}
        super().__init__(
            python_callable=_without_first(python_callable),
            kwargs_to_upstream=given | {"handler": python_callable},
            **kwargs,
        )


def kafka_produce_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Send what the function returns or yields; takes the arguments of :class:`KafkaProduceOperator`."""
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=KafkaProduceDecorated, **kwargs
    )


def kafka_consume_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Hand records to the function; takes the arguments of :class:`KafkaConsumeOperator`.

    The function's first argument gets the record, or the records with ``batch=True``, and must be named ``record`` or
    ``records``; the others are given where the DAG calls it.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=KafkaConsumeDecorated, **kwargs
    )


def _without_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as the DAG calls it: Airflow checks the call's arguments against the signature."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    called.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
    return called
