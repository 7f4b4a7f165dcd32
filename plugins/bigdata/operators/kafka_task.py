"""What the Kafka operators share: the connection, the names of the task instance, and the end by a kill."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bigdata import settings
from bigdata.errors import ConfigError, DeliveryError
from bigdata.kafka.naming import TaskNames

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bigdata.kafka.config import KafkaConfig
    from bigdata.kafka.formats import Format


class KafkaTask:
    """Mixed into operators that have ``kafka_conn_id`` and ``topic``."""

    kafka_conn_id: str | None
    topic: str
    _is_killed = False

    def kafka(self) -> KafkaConfig:
        """Address and credentials by the task's connection."""
        from bigdata import connections

        return connections.kafka(self.kafka_conn_id or settings.load().kafka_conn_id)

    def on_kill(self) -> None:
        """End after the record at hand: Airflow goes on with the task after this, until it gives up waiting."""
        self._is_killed = True

    def raise_if_killed(self, count: int) -> None:
        """End the task.

        :raises DeliveryError: it was killed.
        """
        if self._is_killed:
            raise DeliveryError(self.topic, count, count, "the task was killed")

    def make_format(self, config: KafkaConfig, name: str, schema: Any, topic: str = "") -> Format:
        """The format of a topic's values; Avro by the registry where the connection names one.

        :param topic: default: the task's own. In a registry, the schema is that of ``<topic>-value``.
        :raises ConfigError: the format or its schema is wrong.
        """
        from bigdata.kafka import formats
        from bigdata.kafka.registry import RegistryAvro

        found = load_schema(schema)
        if config.registry:
            subject = f"{topic or self.topic}-value"
            return formats.make(name, found, lambda one: RegistryAvro(config.registry, subject, one))
        return formats.make(name, found)


class Function:
    """A function as an argument that is also a template field: Airflow would call one while it renders."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __repr__(self) -> str:  # goes into the serialised DAG, which must be the same after each parse
        return f"<function {self.function.__module__}.{getattr(self.function, '__qualname__', self.function)}>"


def wrapped(value: Any) -> Any:
    """A function as :class:`Function`, anything else as it is."""
    return Function(value) if callable(value) else value


def names(context: Context) -> TaskNames:
    """What the task instance is called at the brokers."""
    ti = context["ti"]
    map_index = -1 if ti.map_index is None else ti.map_index
    return TaskNames(ti.dag_id, ti.task_id, ti.run_id or "", map_index, settings.load().instance)


def load_schema(schema: Any) -> dict[str, Any] | None:
    """An Avro schema as such, or from a file of the project.

    :raises ConfigError: the file cannot be read.
    """
    import json

    if schema is None or isinstance(schema, dict):
        return schema
    path = settings.load().project_dir / str(schema)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"Avro schema {path}: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"Avro schema {path}: a JSON object is needed")
    return found
