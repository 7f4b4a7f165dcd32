"""Kafka's clients by an Airflow connection.

Connection type ``bigdata_kafka``, or the Kafka provider's ``kafka``: options by Kafka's own names in the extra, such as
``bootstrap.servers``, ``security.protocol`` (PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL), ``sasl.mechanism`` (PLAIN,
SCRAM-SHA-256, SCRAM-SHA-512); certificates as files (``ssl.ca.location``) or as texts (``ssl.ca.pem``); or a cluster of
Strimzi's by ``strimzi.cluster`` and ``strimzi.user``, whose addresses and certificates are looked up.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.sdk import BaseHook

from bigdata import connections, settings
from bigdata.kafka.config import KafkaConfig, reachable


class KafkaHook(BaseHook):
    """Clients of kafka-python.

    :param kafka_conn_id: default: ``[bigdata] kafka_conn_id``.
    """

    conn_name_attr = "kafka_conn_id"
    default_conn_name = "kafka_default"
    conn_type = "bigdata_kafka"
    hook_name = "Kafka (PLAIN, TLS, SCRAM, Strimzi)"

    def __init__(self, kafka_conn_id: str | None = None) -> None:
        super().__init__()
        self.kafka_conn_id = kafka_conn_id or settings.load().kafka_conn_id

    @cached_property
    def config(self) -> KafkaConfig:
        """Address and credentials.

        :raises StackError: there is no such connection, or no such cluster yet.
        :raises ConfigError: an option is missing or not known.
        """
        return connections.kafka(self.kafka_conn_id)

    def get_conn(self) -> Any:
        """A ``KafkaAdminClient``; the caller closes it."""
        from kafka import KafkaAdminClient

        with reachable(self.config):
            return KafkaAdminClient(**self.config.client_options())

    def get_producer(self, **options: Any) -> Any:
        """A ``KafkaProducer``; the caller closes it."""
        from kafka import KafkaProducer

        with reachable(self.config):
            return KafkaProducer(**self.config.producer_options() | options)

    def get_consumer(self, **options: Any) -> Any:
        """A ``KafkaConsumer``; the caller closes it."""
        from kafka import KafkaConsumer

        with reachable(self.config):
            return KafkaConsumer(**self.config.consumer_options() | options)

    def test_connection(self) -> tuple[bool, str]:
        """What the button *Test* of a connection's form asks."""
        from bigdata.errors import BigdataError

        try:
            admin = self.get_conn()
            try:
                found = admin.describe_cluster()
            finally:
                admin.close()
        except (BigdataError, OSError) as error:
            return False, str(error)
        brokers = found["brokers"]
        return True, f"Kafka cluster {found['cluster_id']} with {len(brokers)} brokers"
