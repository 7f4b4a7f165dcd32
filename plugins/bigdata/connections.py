"""Airflow connections as the plain values that the core takes. The only place where connections are read."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bigdata import settings
from bigdata.errors import ConfigError, StackError
from bigdata.kafka import strimzi
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.logs import quiet
from bigdata.storage.objects import ObjectStore

if TYPE_CHECKING:
    from airflow.sdk import Connection

log = logging.getLogger(__name__)


class StrimziCluster(NamedTuple):
    """A Kafka resource."""

    name: str
    namespace: str


class SecretKey(NamedTuple):
    """A key of a Kubernetes Secret."""

    name: str
    key: str


# Keys that people give Secrets with AWS credentials, and where an Airflow connection keeps the same.
_AWS_FIELDS = {
    "aws_access_key_id": "login",
    "access_key_id": "login",
    "access_key": "login",
    "aws_secret_access_key": "password",
    "secret_access_key": "password",
    "secret_key": "password",
}
_FIELDS = ("login", "password", "host", "schema", "port")
# Keys of a Secret with Kafka credentials, by Kafka's names, and what a KafkaConfig holds of each: an option or a file.
_KAFKA_SECRETS = {
    "sasl.password": "sasl_plain_password",
    "ssl.ca.pem": "ssl_cafile",
    "ssl.certificate.pem": "ssl_certfile",
    "ssl.key.pem": "ssl_keyfile",
}
# Options that no log may show.
_SECRETS = frozenset({"sasl.password", "ssl.key.pem", "ssl.key.password", "schema.registry.basic.auth.user.info"})


def object_store(conn_id: str) -> ObjectStore:
    """S3 by an ``aws`` connection; role, profile and instance credentials are resolved by the Amazon provider's hook.

    :raises StackError: there is no such connection.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    connection = get(conn_id)
    region = connection.extra_dejson.get("region_name") or "us-east-1"
    endpoint = connection.extra_dejson.get("endpoint_url") or ""
    if connection.login:
        token = connection.extra_dejson.get("aws_session_token") or ""
        return ObjectStore(endpoint, region, connection.login, connection.password or "", token)
    found = S3Hook(aws_conn_id=conn_id).get_credentials(region_name=region)
    return ObjectStore(endpoint, region, found.access_key or "", found.secret_key or "", found.token or "")


def kafka(conn_id: str) -> KafkaConfig:
    """Kafka by a connection whose extra has options by Kafka's own names, as the Kafka provider's connections have.

    User and password may also be the connection's login and password, the address its host. With ``strimzi.cluster``
    the address and the certificates are those of the Kafka resource, the credentials those of the KafkaUser.

    :raises StackError: there is no such connection, or no such cluster yet.
    :raises ConfigError: an option is missing or not known.
    """
    from airflow.sdk.log import mask_secret

    quiet()
    connection = get(conn_id)
    source, options = f"connection {conn_id}", dict(connection.extra_dejson)
    named = {key: str(options.pop(key)) for key in strimzi.OPTIONS if options.get(key)}
    if named:
        options |= _strimzi(source, named)
    if connection.host:
        port = f":{connection.port}" if connection.port else ""
        options.setdefault("bootstrap.servers", f"{connection.host}{port}")
    for key in _SECRETS & options.keys():
        mask_secret(options[key])  # of an extra, Airflow itself masks what is called a password
    for key, value in (("sasl.username", connection.login), ("sasl.password", connection.password)):
        if value:
            options.setdefault(key, value)
    return KafkaConfig.from_properties(source, options)


def strimzi_cluster(conn_id: str) -> StrimziCluster | None:
    """The Kafka resource that a connection names; None where it names an address."""
    options = get(conn_id).extra_dejson
    if not options.get("strimzi.cluster"):
        return None
    return StrimziCluster(options["strimzi.cluster"], options.get("strimzi.namespace") or settings.load().namespace)


def cluster_by(by: str, conn_id: str, task_id: str) -> StrimziCluster | None:
    """The Kafka resource that a task goes by: with ``auto`` the one that its connection names, if it names one.

    :param by: ``resource`` insists on one; anything but the two goes without.
    :raises ConfigError: there is none where one is insisted on.
    """
    cluster = strimzi_cluster(conn_id) if by in ("auto", "resource") else None
    if cluster is None and by == "resource":
        raise ConfigError(f"task {task_id}: by='resource', but connection {conn_id} names no strimzi.cluster")
    return cluster


def _strimzi(source: str, named: dict[str, str]) -> dict[str, str]:
    if "strimzi.cluster" not in named:
        raise ConfigError(f"{source}: {next(iter(named))} needs strimzi.cluster")
    return strimzi.properties(
        kubernetes_client(),
        source,
        named["strimzi.cluster"],
        named.get("strimzi.namespace") or settings.load().namespace,
        named.get("strimzi.listener", ""),
        named.get("strimzi.user", ""),
    )


def kubernetes_client(conn_id: str = "") -> Any:
    """A client of the cluster that a connection means; default: ``[bigdata] kubernetes_conn_id``."""
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

    return KubernetesHook(conn_id=conn_id or settings.load().kubernetes_conn_id).api_client


def get(conn_id: str) -> Connection:
    """Read a connection.

    :raises StackError: it is defined nowhere.
    """
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(conn_id)
    except AirflowNotFoundException as error:
        raise StackError(
            conn_id,
            "there is no such Airflow connection",
            "Define it in Airflow; on a laptop `bigdata local up` does so with aws_default and kafka_default",
        ) from error


def secret_value(secret_connections: dict[str, str], secret: str, key: str) -> str:
    """Look a Kubernetes Secret's key up in the Airflow connection that stands for the Secret outside a cluster.

    The connection is the one that ``[bigdata] secret_connections`` names, else the Secret's own name with ``_`` for
    ``-``. The key is a field (login, password, host, schema, port), the usual name of an AWS credential, one of
    :func:`kafka_secrets`, or a key of the extra.

    :raises ConfigError: the connection has nothing under that key.
    """
    conn_id = secret_connections.get(secret, secret.replace("-", "_"))
    connection = get(conn_id)
    if key in _KAFKA_SECRETS and connection.conn_type in ("kafka", "bigdata_kafka"):
        return _kafka_secret(secret, conn_id, key)
    name = key.lower().replace("-", "_")
    field = _AWS_FIELDS.get(name, name)
    value: Any = getattr(connection, field, None) if field in _FIELDS else None
    if value is None:
        value = connection.extra_dejson.get(key, connection.extra_dejson.get(name))
    if value is None:
        raise ConfigError(f"Secret {secret}, key {key}: connection {conn_id} has no such field and no such extra")
    return str(value)


def kafka_secrets(config: KafkaConfig) -> dict[str, str]:
    """The credentials of a Kafka client by the keys that a Secret has for them: certificates and keys as PEM texts."""
    found = {key: str(config.options[option]) for key, option in _KAFKA_SECRETS.items() if config.options.get(option)}
    texts = {key: Path(value).read_text() if key.endswith(".pem") else value for key, value in found.items()}
    return texts | dict(config.pem)


def kafka_secret_refs(conn_id: str, config: KafkaConfig) -> dict[str, SecretKey]:
    """Where a pod finds the same: in Strimzi's own Secrets, if the connection names a cluster and a user, else in a
    Secret ``kafka-credentials``, or for another connection than ``[bigdata] kafka_conn_id`` in one of its name with
    ``-`` for ``_``. On a laptop these stand for the connections.
    """
    options = get(conn_id).extra_dejson
    secret = "kafka-credentials" if conn_id == settings.load().kafka_conn_id else conn_id.lower().replace("_", "-")
    user, cluster = str(options.get("strimzi.user")), options.get("strimzi.cluster")
    theirs = {
        "sasl.password": SecretKey(user, "password"),
        "ssl.ca.pem": SecretKey(f"{cluster}-cluster-ca-cert", "ca.crt"),
        "ssl.certificate.pem": SecretKey(user, "user.crt"),
        "ssl.key.pem": SecretKey(user, "user.key"),
    }
    needed = sorted(kafka_secrets(config))
    return {key: theirs[key] if cluster else SecretKey(secret, key) for key in needed}


def _kafka_secret(secret: str, conn_id: str, key: str) -> str:
    found = kafka_secrets(kafka(conn_id))
    if key not in found:
        raise ConfigError(f"Secret {secret}, key {key}: connection {conn_id} has none")
    return found[key]


def cluster_answers(conn_id: str) -> bool:
    """Tell whether a Kubernetes API server answers by a connection; the log says why not.

    The connection must be defined: without one the client would take whatever cluster ``kubectl`` points to.
    """
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
    from kubernetes.client import VersionApi

    try:
        get(conn_id)
        version = VersionApi(KubernetesHook(conn_id=conn_id).get_conn()).get_code(_request_timeout=5)
    except Exception as error:  # whatever is wrong with it, there is no cluster to use
        log.info("No cluster by connection %s: %s: %s", conn_id, type(error).__name__, str(error).splitlines()[0])
        return False
    log.info("Kubernetes %s answers by connection %s", version.git_version, conn_id)
    return True
