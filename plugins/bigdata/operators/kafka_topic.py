"""A topic as a task: made if need be, widened, never narrowed and never deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from bigdata import settings
from bigdata.errors import ConfigError
from bigdata.operators.kafka_task import KafkaTask

if TYPE_CHECKING:
    from airflow.sdk import Context

BY = ("auto", "admin", "resource")


class KafkaTopicOperator(KafkaTask, BaseOperator):
    """Have a topic with at least so many partitions and these settings. Safe to repeat.

    :param partitions: -1 takes the brokers' default. A topic that has more keeps them.
    :param replication_factor: -1 takes the brokers' default. A topic that is there keeps its own.
    :param configs: settings by Kafka's names, such as ``retention.ms``.
    :param by: ``admin``: ask the brokers; ``resource``: apply a KafkaTopic and wait until Strimzi's topic operator has
        done it; ``auto``: by a resource where the connection names a Kafka resource (``strimzi.cluster``).
    :param kafka_conn_id: default: ``[bigdata] kafka_conn_id``.
    :return: name, partitions, replicas and in-sync replicas, as the brokers say.
    :raises ConfigError: the brokers or the topic operator refuse it.
    :raises StackError: no broker or no topic operator answers.
    """

    template_fields: Sequence[str] = ("topic", "partitions", "replication_factor", "configs", "kafka_conn_id")
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        topic: str,
        partitions: int | str = -1,
        replication_factor: int | str = -1,
        configs: Mapping[str, Any] | None = None,
        by: str = "auto",
        kafka_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if by not in BY:
            raise ConfigError(f"task {self.task_id}: by={by!r}: must be one of {', '.join(BY)}")
        self.topic, self.partitions, self.replication_factor = topic, partitions, replication_factor
        self.configs, self.by, self.kafka_conn_id = configs, by, kafka_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Ensure the topic."""
        from bigdata import connections
        from bigdata.kafka.topic_resource import ensure_topic_resource
        from bigdata.kafka.topics import ensure_topic, require_topic

        partitions, replicas = int(self.partitions), int(self.replication_factor)
        conn_id = self.kafka_conn_id or settings.load().kafka_conn_id
        cluster = connections.cluster_by(self.by, conn_id, self.task_id)
        if cluster is None:
            return ensure_topic(self.kafka(), self.topic, partitions, replicas, self.configs).to_dict()
        client = connections.kubernetes_client()
        ensure_topic_resource(client, cluster.name, cluster.namespace, self.topic, partitions, replicas, self.configs)
        return require_topic(self.kafka(), self.topic).to_dict()
