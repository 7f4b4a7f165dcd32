"""Options of Spark's Kafka source; what is secret in them comes from the environment alone.

======================= ================================================================
KAFKA_SASL_PASSWORD     for the protocols SASL_PLAINTEXT and SASL_SSL
KAFKA_SSL_CA            certificates of authorities, PEM; without, those that Java trusts
KAFKA_SSL_CERTIFICATE   of the client (mTLS), PEM, with KAFKA_SSL_KEY, PKCS #8 in PEM
======================= ================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from hadoop import JobError

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
LOGINS = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
#: What Kafka's exceptions mean to a person, as hadoop.MEANINGS has Hadoop's.
MEANINGS = {
    "UnknownTopicOrPartitionException": "the topic does not exist, or this user may not see it",
    "TopicAuthorizationException": "access denied: the user lacks an ACL for the topic",
    "GroupAuthorizationException": "access denied: the user lacks an ACL for groups that begin with titanic_stream",
    "SaslAuthenticationException": "access denied: check user, password and mechanism",
    "SslAuthenticationException": "no TLS: check the address, and whether the certificates are those of this cluster",
    "No resolvable bootstrap urls": "the broker's host name is unknown: check --bootstrap-servers",
    "org.apache.kafka.common.errors.TimeoutException": "no broker answers: check --bootstrap-servers, and that it runs",
    "Some data may have been lost": "records are gone that were not read yet: start with another output",
}


def source_options(servers: str, topic: str, most: int) -> dict[str, str]:
    """Options that read a topic from its first record, each committed record once, and end if some are gone.

    :param most: records of a batch, at most.
    """
    return {
        "kafka.bootstrap.servers": servers,
        "subscribe": topic,
        "startingOffsets": "earliest",
        "failOnDataLoss": "true",
        "maxOffsetsPerTrigger": str(most),
        "groupIdPrefix": "titanic_stream",
        "kafka.isolation.level": "read_committed",
        "kafka.allow.auto.create.topics": "false",
        "kafka.request.timeout.ms": "15000",
        "kafka.default.api.timeout.ms": "30000",
    }


def security_options(protocol: str, mechanism: str, user: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Options that get a client in.

    :param mechanism: with `user`, for the protocols that begin with SASL.
    :raises JobError: a variable is missing.
    """
    options = {"kafka.security.protocol": protocol}
    if protocol.startswith("SASL"):
        login = f"username={_quoted(user)} password={_quoted(_needed(environ, 'KAFKA_SASL_PASSWORD'))}"
        options["kafka.sasl.mechanism"] = mechanism
        options["kafka.sasl.jaas.config"] = f"{LOGINS[mechanism]} required {login};"
    if protocol.endswith("SSL"):
        options |= _tls(environ)
    return options


def _tls(environ: Mapping[str, str]) -> dict[str, str]:
    options: dict[str, str] = {}
    if authorities := environ.get("KAFKA_SSL_CA"):
        options |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.certificates": authorities}
    if certificate := environ.get("KAFKA_SSL_CERTIFICATE"):
        options |= {"kafka.ssl.keystore.type": "PEM", "kafka.ssl.keystore.certificate.chain": certificate}
        options["kafka.ssl.keystore.key"] = _needed(environ, "KAFKA_SSL_KEY")
    return options


def _needed(environ: Mapping[str, str], name: str) -> str:
    if value := environ.get(name):
        return value
    raise JobError(f"{name} is missing in the environment: the manifest takes it from the Secret kafka-credentials")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
