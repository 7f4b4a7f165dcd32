"""Consuming as a task, with commit after success, or exactly once from topic to topic.

Delivery contract: at least once (:mod:`bigdata.kafka.consume`), or exactly once with ``exactly_once=True``
(:mod:`bigdata.kafka.transform`). Either way the group's commits are where a retry, or the next run, goes on; the task
takes the place of its own killed try in the group at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from bigdata.errors import ConfigError
from bigdata.operators.kafka_task import KafkaTask, names

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bigdata.kafka.consume import Consumed
    from bigdata.kafka.formats import Format
    from bigdata.kafka.reader import Reader

_STALL_TIMEOUT = 60.0


class KafkaConsumeOperator(KafkaTask, BaseOperator):
    """Hand a topic's records to a function until a bound is reached; by default up to where the topic ends now.

    :param handler: function, or its dotted path; gets a :class:`bigdata.kafka.records.Record` whose value is decoded,
        or a list of them with ``batch=True``, and ``op_args`` and ``op_kwargs``. It raises ``BadRecord`` for a record
        it refuses; any other exception fails the task with nothing of that poll committed. With ``exactly_once`` it
        returns the records to write (one, several or None).
    :param group: default: ``<dag>.<task>``. Tasks with one group share the partitions.
    :param until_end: up to where the topic ends now; may be combined with the other bounds, the first counts.
    :param max_records: so many records; 0 for no such bound.
    :param max_seconds: so long.
    :param idle_seconds: until no record came for so long.
    :param value_format: ``json``, ``avro`` or ``bytes``.
    :param schema: Avro schema, or its file in the project.
    :param dead_letter_topic: where records go that cannot be decoded or are refused, with the reason in their headers.
    :param exactly_once: what the handler returns and the offsets are one transaction.
    :param output_topic: where the records go that name no topic themselves; their values are written in
        ``output_format``, with ``output_schema``.
    :param stall_timeout: seconds without progress after which a read up to the end fails.
    :param kafka_conn_id: default: ``[bigdata] kafka_conn_id``.
    :return: topic, group, counts read, dead and produced, offsets by partition.
    :raises DeliveryError: records stopped coming before the end was reached, or a transaction was not committed.
    :raises BadRecord: there is no dead-letter topic; names topic, partition and offset.
    """

    template_fields: Sequence[str] = (
        "topic",
        "group",
        "output_topic",
        "dead_letter_topic",
        "max_records",
        "max_seconds",
        "idle_seconds",
        "op_args",
        "op_kwargs",
        "kafka_conn_id",
    )
    template_fields_renderers = {"op_args": "py", "op_kwargs": "py"}
    shallow_copy_attrs: Sequence[str] = ("handler",)
    ui_color = "#fef7e0"

    def __init__(
        self,
        *,
        topic: str,
        handler: Callable[..., Any] | str | None = None,
        group: str | None = None,
        batch: bool = False,
        until_end: bool = True,
        max_records: int | str = 0,
        max_seconds: float | str = 0,
        idle_seconds: float | str = 0,
        value_format: str = "json",
        schema: Mapping[str, Any] | str | None = None,
        dead_letter_topic: str | None = None,
        exactly_once: bool = False,
        output_topic: str | None = None,
        output_format: str = "json",
        output_schema: Mapping[str, Any] | str | None = None,
        stall_timeout: float = _STALL_TIMEOUT,
        op_args: Sequence[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        kafka_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if exactly_once and not output_topic:
            raise ConfigError(f"task {self.task_id}: exactly_once needs output_topic")
        if output_topic and not exactly_once:
            raise ConfigError(f"task {self.task_id}: output_topic is written with exactly_once=True only")
        self.topic, self.handler, self.group, self.batch = topic, handler, group, batch
        self.until_end, self.max_records = until_end, max_records
        self.max_seconds, self.idle_seconds, self.stall_timeout = max_seconds, idle_seconds, stall_timeout
        self.value_format, self.schema, self.dead_letter_topic = value_format, schema, dead_letter_topic
        self.exactly_once, self.output_topic = exactly_once, output_topic
        self.output_format, self.output_schema = output_format, output_schema
        self.op_args, self.op_kwargs = list(op_args or ()), dict(op_kwargs or {})
        self.kafka_conn_id = kafka_conn_id
        self._reader: Reader | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Consume, and count."""
        consumed = self._transform(context) if self.exactly_once else self._consume(context)
        self.raise_if_killed(consumed.count)
        return consumed.to_dict()

    def on_kill(self) -> None:
        """End after the poll at hand, which is committed."""
        super().on_kill()
        if self._reader:
            self._reader.stopped.set()

    def handle(self, records: Any) -> Any:
        """Call the handler."""
        from airflow.sdk.module_loading import import_string

        handler = self.handler
        if isinstance(handler, str):
            handler = self.handler = import_string(handler)
        return handler(records, *self.op_args, **self.op_kwargs) if callable(handler) else None

    def _consume(self, context: Context) -> Consumed:
        from bigdata.kafka.consume import consume

        config = self.kafka()
        values = self.make_format(config, self.value_format, self.schema)
        return consume(config, self.topic, handler=self.handle, **self._options(context, values))

    def _transform(self, context: Context) -> Consumed:
        from bigdata.kafka.transform import transform

        config, me = self.kafka(), names(context)
        values = self.make_format(config, self.value_format, self.schema)
        output_topic = self.output_topic or ""
        written = self.make_format(config, self.output_format, self.output_schema, output_topic)
        return transform(
            config,
            self.topic,
            handler=lambda records: encoded(self.handle(records), written),
            output_topic=output_topic,
            transactional_id=me.transactional_id,
            delivery=me.delivery(),
            **self._options(context, values),
        )

    def _options(self, context: Context, values: Format) -> dict[str, Any]:
        from bigdata.kafka.bounds import Bounds

        me = names(context)
        bounds = Bounds(
            self.until_end, int(self.max_records or 0), float(self.max_seconds or 0), float(self.idle_seconds or 0)
        )
        return {
            "group": self.group or me.group,
            "member": me.member,
            "batch": self.batch,
            "bounds": bounds,
            "decode": values.decode,
            "dead_letter_topic": self.dead_letter_topic or "",
            "stall_timeout": self.stall_timeout,
            "opened": self._opened,
        }

    def _opened(self, reader: Reader) -> None:
        self._reader = reader
        if self._is_killed:
            reader.stopped.set()


def encoded(results: Any, values: Format) -> Any:
    """What a handler returned, as records to write: a Record, several, or None."""
    from bigdata.kafka.records import Record

    if results is None:
        return None
    made = (results,) if isinstance(results, Record) else results
    return [record._replace(value=values.encode(record.value)) for record in made]
