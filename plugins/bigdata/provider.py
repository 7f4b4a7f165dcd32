"""What Airflow learns of this package: its configuration section, shown by ``airflow config list``, and its links."""

from __future__ import annotations

from typing import Any

from bigdata import __version__
from bigdata.kafka.config import MECHANISMS, PROTOCOLS


def _option(description: str, default: str, example: str | None = None) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": __version__,
        "type": "string",
        "example": example,
        "default": default,
    }


def _field(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


_SECRET = {"format": "password"}
# What the form of a connection shows; the options are documented in docs/kafka.md.
_KAFKA: dict[str, Any] = {
    "connection-type": "bigdata_kafka",
    "hook-class-name": "bigdata.hooks.kafka.KafkaHook",
    "hook-name": "Kafka (PLAIN, TLS, SCRAM, Strimzi)",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "host"],
        "relabeling": {"login": "User (SASL)", "password": "Password (SASL)"},
    },
    "conn-fields": {
        "bootstrap.servers": _field("Bootstrap servers", "host:port, host:port"),
        "security.protocol": _field("Security protocol", "", enum=list(PROTOCOLS), default=PROTOCOLS[0]),
        "sasl.mechanism": _field("SASL mechanism", "", enum=[*MECHANISMS, None]),
        "ssl.ca.pem": _field("CA certificates (PEM)", "Of the brokers", format="multiline"),
        "ssl.certificate.pem": _field("Client certificate (PEM)", "For mTLS", format="multiline"),
        "ssl.key.pem": _field("Client key (PEM)", "For mTLS", **_SECRET),
        "strimzi.cluster": _field("Strimzi: Kafka resource", "Instead of an address and certificates"),
        "strimzi.namespace": _field("Strimzi: namespace", "Default: [bigdata] namespace"),
        "strimzi.listener": _field("Strimzi: listener", "Default: tls for a user, plain without one"),
        "strimzi.user": _field("Strimzi: KafkaUser", "Whose Secret has the credentials"),
        "schema.registry.url": _field("Schema registry", "For Avro"),
    },
}


def get_provider_info() -> dict[str, Any]:
    """Entry point ``apache_airflow_provider``."""
    return {
        "package-name": "airflow-bigdata",
        "name": "Bigdata",
        "description": "Spark, Kafka and Flink: one DAG, one manifest, on a laptop, on Kubernetes and on EKS.",
        "connection-types": [_KAFKA],
        "task-decorators": [
            {"name": "kafka_produce", "class-name": "bigdata.decorators.kafka.kafka_produce_task"},
            {"name": "kafka_consume", "class-name": "bigdata.decorators.kafka.kafka_consume_task"},
        ],
        "config": {
            "bigdata": {
                "description": "Where SparkApplications run and what they find there.",
                "options": {
                    "runtime": _option("Where SparkApplications run: local, native or kubernetes.", "local"),
                    "project_dir": _option(
                        "The checkout. Empty: the one that a DAG's file lies in, else the folder above [core] "
                        "dags_folder.",
                        "",
                    ),
                    "jobs_root": _option("Spark programs and manifests. Empty: <project_dir>/spark_jobs.", ""),
                    "image_jobs_root": _option("Where the Spark image keeps jobs_root.", "/opt/spark/jobs"),
                    "state_dir": _option(
                        "Everything made at run time. Empty: .bigdata in project_dir, where that is set, else in the "
                        "folder above [core] dags_folder.",
                        "",
                    ),
                    "namespace": _option("Namespace of applications that name none.", "default"),
                    "instance": _option(
                        "Tells this Airflow from others that have the same DAGs and the same namespace. Empty: there "
                        "are none.",
                        "",
                        "staging",
                    ),
                    "image_registry": _option(
                        "On a cluster: the registry of images whose names begin with none. Empty: as they stand.",
                        "",
                        "111122223333.dkr.ecr.eu-central-1.amazonaws.com",
                    ),
                    "s3_conn_id": _option("Connection to the S3 API.", "aws_default"),
                    "kafka_conn_id": _option("Connection to Kafka.", "kafka_default"),
                    "kubernetes_conn_id": _option(
                        "Connection to the cluster, for tasks that name none.", "kubernetes_default"
                    ),
                    "secret_connections": _option(
                        "Outside a cluster: which connection stands for which Kubernetes Secret, as JSON.",
                        '{"aws-credentials": "aws_default", "kafka-credentials": "kafka_default"}',
                    ),
                    "history_server_url": _option("Spark history server, for links to ended applications.", ""),
                    "driver_log_url": _option(
                        "The cluster's log store, for links to a driver's log: a URL with any of {namespace}, {name}, "
                        "{pod} and {application_id} in it.",
                        "",
                        "https://grafana.example.org/explore?pod={pod}",
                    ),
                    "kafka_port": _option("Port of the embedded broker; 0: any free one.", "0"),
                    "kafka_brokers": _option("Embedded brokers: 1 or 3. 0: as many as run, else 1.", "0"),
                    "s3_port": _option("Port of the embedded S3; 0: any free one.", "0"),
                    "ivy_settings": _option("ivysettings.xml that resolves jars, for those behind a mirror.", ""),
                },
            }
        },
    }
