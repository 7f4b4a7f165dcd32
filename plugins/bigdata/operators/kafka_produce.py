"""Producing as a task: what goes in comes out at the brokers, counted, once.

Delivery contract: see :mod:`bigdata.kafka.produce`. By default all records of a task are one transaction, named after
the task instance: readers with ``read_committed`` see all of them or none, and a retry does not double what an earlier
try has delivered.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from bigdata.operators.kafka_task import Function, KafkaTask, names, wrapped

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bigdata.kafka.encoding import Key, RecordHeaders
    from bigdata.kafka.partitioning import Partitioner
    from bigdata.operators.kafka_source import Source

_TRANSACTION_TIMEOUT = 900.0
_DELIVERY_TIMEOUT = 120.0


class KafkaProduceOperator(KafkaTask, BaseOperator):
    """Send records to a topic and prove that each was delivered.

    :param source: what to send: anything to iterate over, a function that returns or yields such (it gets the context
        by name, ``op_args`` and ``op_kwargs``), or where Parquet is: a path in the project, an ``s3://`` URI, an
        Asset of one. What :mod:`bigdata.storage.dataset` published is read by its pointer.
    :param key: column of each row, or a function of it. Records that say their key themselves keep it.
    :param headers: for all records, or a function of the row.
    :param partitioner: gets a key and the partitions' numbers. Default: by the key's hash, as the Java client does.
    :param value_format: ``json``, ``avro`` or ``bytes``.
    :param schema: Avro schema, or its file in the project; registered where the connection names a registry.
    :param transactional: all or nothing, and no doubles by retries. Without it, a retry writes everything again, and
        records are told apart by their header ``delivery``.
    :param transaction_timeout: seconds that the transaction may take; what is left open by a killed worker holds up
        readers for as long, or until the retry. Brokers allow 15 minutes by default.
    :param expected_count: fail unless exactly so many records were sent. Sources that know their count are checked.
    :param kafka_conn_id: default: ``[bigdata] kafka_conn_id``.
    :param s3_conn_id: where Parquet is read. Default: ``[bigdata] s3_conn_id``.
    :return: topic, delivery, count and offsets by partition.
    :raises DeliveryError: a record was not acknowledged, or counts differ; nothing of a transaction is visible then.
    :raises BadRecord: a record does not fit the format; names it by its number.
    """

    template_fields: Sequence[str] = (
        "topic",
        "source",
        "headers",
        "expected_count",
        "op_args",
        "op_kwargs",
        "kafka_conn_id",
    )
    template_fields_renderers = {"op_args": "py", "op_kwargs": "py"}
    shallow_copy_attrs: Sequence[str] = ("source", "headers", "key", "partitioner")
    ui_color = "#e6f4ea"

    def __init__(
        self,
        *,
        topic: str,
        source: Source = None,
        key: Key | None = None,
        headers: RecordHeaders | None = None,
        partitioner: Partitioner | None = None,
        value_format: str = "json",
        schema: Mapping[str, Any] | str | None = None,
        transactional: bool = True,
        transaction_timeout: float = _TRANSACTION_TIMEOUT,
        delivery_timeout: float = _DELIVERY_TIMEOUT,
        expected_count: int | str | None = None,
        op_args: Sequence[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        kafka_conn_id: str | None = None,
        s3_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.topic, self.source, self.headers = topic, wrapped(source), wrapped(headers)
        self.key, self.partitioner = key, partitioner
        self.value_format, self.schema = value_format, schema
        self.transactional, self.transaction_timeout = transactional, transaction_timeout
        self.delivery_timeout, self.expected_count = delivery_timeout, expected_count
        self.op_args, self.op_kwargs = list(op_args or ()), dict(op_kwargs or {})
        self.kafka_conn_id, self.s3_conn_id = kafka_conn_id, s3_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Produce, and count."""
        from bigdata.kafka.encoding import encode
        from bigdata.kafka.produce import produce
        from bigdata.operators.kafka_source import rows

        config, me = self.kafka(), names(context)
        value_format = self.make_format(config, self.value_format, self.schema)
        source = self._call(self.source.function, context) if isinstance(self.source, Function) else self.source
        items, count = rows(source, self.s3_conn_id)
        headers = self.headers.function if isinstance(self.headers, Function) else self.headers
        receipt = produce(
            config,
            self.topic,
            encode(self._counted(items, count), value_format, self.key, headers),
            me.delivery(None if self.transactional else context["ti"].try_number),
            transactional_id=me.transactional_id if self.transactional else "",
            transaction_timeout=self.transaction_timeout,
            delivery_timeout=self.delivery_timeout,
            partitioner=self.partitioner,
        )
        return receipt.to_dict()

    def _counted(self, items: Iterable[Any], count: int) -> Iterator[Any]:
        """The items; raises after the last one, and so before a commit, if they were not as many as they should be."""
        from bigdata.errors import DeliveryError

        sent = 0
        for item in items:
            self.raise_if_killed(sent)
            yield item
            sent += 1
        wanted = self.expected_count
        for expected, why in (
            (count, "the source has"),
            (-1 if wanted in (None, "") else int(wanted or 0), "expected are"),
        ):
            if 0 <= expected != sent:
                raise DeliveryError(self.topic, expected, sent, f"{why} {expected} records, {sent} came")

    def _call(self, function: Callable[..., Any], context: Context) -> Any:
        """Call it as a task is called: with its own arguments and what of the context it asks for by name."""
        parameters = inspect.signature(function).parameters
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        wanted = {key: value for key, value in context.items() if takes_all or key in parameters}
        return function(*self.op_args, **wanted | self.op_kwargs)
