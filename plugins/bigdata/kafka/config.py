"""How to reach a Kafka cluster, as a plain value that clients are made from."""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bigdata.errors import ConfigError, StackError
from bigdata.kafka.refusals import Refusals

# The field's own option names (librdkafka's and Java's) to kafka-python's.
_OPTIONS = {
    "bootstrap.servers": "bootstrap_servers",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
    "ssl.endpoint.identification.algorithm": "ssl_check_hostname",
    "client.id": "client_id",
    "client.rack": "client_rack",
    "message.max.bytes": "max_request_size",
    "max.request.size": "max_request_size",
    "compression.type": "compression_type",
}
# The same as texts, as a connection or a Strimzi Secret holds them.
_PEM = ("ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem")
# Where the schemas of Avro records are.
_REGISTRY = ("schema.registry.url", "schema.registry.basic.auth.user.info")
# What clients of one kind alone know.
_PRODUCER = frozenset({"max_request_size", "compression_type"})
_CONSUMER = frozenset({"client_rack"})
_WHOLE_NUMBERS = frozenset({"max_request_size"})
# Whether a broker's certificate must be for the host name that was dialled.
_HOST_NAMES = {"https": True, "none": False, "": False}

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
KNOWN_OPTIONS = (*_OPTIONS, *_PEM, *_REGISTRY)
CONNECT_TIMEOUT_MS = 10_000
METADATA_TIMEOUT_MS = 30_000


@dataclass(frozen=True)
class KafkaConfig:
    """A cluster's address and credentials; ``repr`` shows no option, since some are secret.

    :param options: by kafka-python's names.
    :param pem: certificates and key as texts, by the names in Kafka's documentation, such as ``ssl.ca.pem``.
    :param registry: of Avro schemas, by its own options' names, such as ``schema.registry.url``.
    """

    bootstrap_servers: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    pem: Mapping[str, str] = field(default_factory=dict, repr=False)
    registry: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_properties(cls, source: str, properties: Mapping[str, Any]) -> KafkaConfig:
        """Take options by the names Kafka's documentation uses, such as ``bootstrap.servers``.

        What is None or empty counts as not given, as a connection's form stores its empty fields.

        :param source: where they come from, for the error: a connection id, a file.
        :raises ConfigError: an option is missing, not known, or does not fit the others.
        """
        unknown = sorted(set(properties) - set(KNOWN_OPTIONS))
        if unknown:
            raise ConfigError(f"{source}: unknown Kafka option {unknown[0]!r}; known: {', '.join(KNOWN_OPTIONS)}")
        properties = {key: value for key, value in properties.items() if _is_given(key, value)}
        options = {_OPTIONS[key]: value for key, value in properties.items() if key in _OPTIONS}
        for name in _WHOLE_NUMBERS & set(options):
            options[name] = _whole(source, name, options[name])
        if (checked := options.get("ssl_check_hostname")) is not None:
            options["ssl_check_hostname"] = _is_name_checked(source, checked)
        pem = {key: _lines(str(value)) for key, value in properties.items() if key in _PEM}
        servers = options.pop("bootstrap_servers", "")
        if not servers:
            raise ConfigError(f"{source}: bootstrap.servers is missing")
        _check_security(source, options, pem)
        registry = {key: str(value) for key, value in properties.items() if key in _REGISTRY}
        return cls(servers, options, pem, registry)

    def client_options(self) -> dict[str, Any]:
        """Options for any of kafka-python's clients.

        :raises ConfigError: a certificate or key cannot be used.
        """
        return self._common() | {
            key: value for key, value in self.options.items() if key not in (_PRODUCER | _CONSUMER)
        }

    def producer_options(self) -> dict[str, Any]:
        """Options for a ``KafkaProducer``; a topic that does not exist is an error and is not made."""
        options = {key: value for key, value in self.options.items() if key not in _CONSUMER}
        return self._common() | {"allow_auto_create_topics": False, "max_block_ms": METADATA_TIMEOUT_MS} | options

    def consumer_options(self) -> dict[str, Any]:
        """Options for a ``KafkaConsumer``; a topic that does not exist is an error and is not made."""
        options = {key: value for key, value in self.options.items() if key not in _PRODUCER}
        return self._common() | {"allow_auto_create_topics": False} | options

    def _common(self) -> dict[str, Any]:
        common: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",")],
            "bootstrap_timeout_ms": CONNECT_TIMEOUT_MS,
        }
        if self.pem:
            context = _context(self.bootstrap_servers, self.pem, self.options.get("ssl_password"))
            context.check_hostname = self.options.get("ssl_check_hostname", True)
            common["ssl_context"] = context
        return common


@contextmanager
def admin_of(config: KafkaConfig) -> Iterator[Any]:
    """A ``KafkaAdminClient`` that is closed at the end."""
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(**config.client_options())
    try:
        yield admin
    finally:
        admin.close()


@contextmanager
def reachable(config: KafkaConfig) -> Iterator[None]:
    """Turn "no broker answers" and "not let in" of any client into one clear error.

    :raises StackError: naming the address and what to do.
    """
    from kafka.errors import (
        AuthorizationError,
        KafkaConnectionError,
        KafkaTimeoutError,
        SaslAuthenticationFailedError,
        UnsupportedSaslMechanismError,
    )

    with Refusals() as refusals:
        try:
            yield
        except (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, AuthorizationError) as error:
            raise _refused(config, error) from error
        except (KafkaConnectionError, KafkaTimeoutError, ssl.SSLError) as error:
            raise _refused(config, refusals.reason or error) from error


def _refused(config: KafkaConfig, error: BaseException) -> StackError:
    from kafka.errors import AuthorizationError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError

    where = config.bootstrap_servers
    if isinstance(error, AuthorizationError):
        return StackError("kafka", f"not allowed at {where}: {why(error)}", "The user lacks an ACL")
    if isinstance(error, (SaslAuthenticationFailedError, UnsupportedSaslMechanismError)):
        user = config.options.get("sasl_plain_username", "")
        hint = "Check user, password and sasl.mechanism of the connection, and that the listener wants SASL"
        return StackError("kafka", f"{where} does not let user {user!r} in: {why(error)}", hint)
    return StackError("kafka", f"no broker answers at {where} ({why(error)})", _hint(config))


def why(error: BaseException) -> str:
    """An error with the name of its class, once, in one line."""
    name, text = type(error).__name__, " ".join(str(error).split())
    return text if name in text else f"{name}: {text}" if text else name


def _hint(config: KafkaConfig) -> str:
    if config.options.get("security_protocol", "PLAINTEXT") == "PLAINTEXT":
        return "The embedded broker is started by: bigdata local up"
    what = "user, password and sasl.mechanism" if "sasl_mechanism" in config.options else "certificates"
    return f"Check the address, the listener's protocol, and whether the {what} of the connection are of this cluster"


def _is_given(name: str, value: Any) -> bool:
    # An empty algorithm is Kafka's own way to say that names are not checked.
    return value not in (None, "") or (value == "" and _OPTIONS.get(name) == "ssl_check_hostname")


def _lines(pem: str) -> str:
    """A PEM text in lines, also when it has gone through a field of a form that makes one line of it."""
    if "\n" in pem.strip():
        return pem
    parts = re.findall(r"(-----BEGIN [^-]+-----)(.*?)(-----END [^-]+-----)", pem)
    return "\n".join(f"{begin}\n{''.join(body.split())}\n{end}" for begin, body, end in parts) or pem


def _check_security(source: str, options: Mapping[str, Any], pem: Mapping[str, str]) -> None:
    protocol = options.get("security_protocol", "PLAINTEXT")
    if protocol not in PROTOCOLS:
        raise ConfigError(f"{source}: security.protocol {protocol!r}: must be one of {', '.join(PROTOCOLS)}")
    if protocol.startswith("SASL"):
        mechanism = options.get("sasl_mechanism", "")
        if mechanism not in MECHANISMS:
            raise ConfigError(f"{source}: sasl.mechanism {mechanism!r}: must be one of {', '.join(MECHANISMS)}")
        for key, name in (("sasl_plain_username", "sasl.username"), ("sasl_plain_password", "sasl.password")):
            if not options.get(key):
                raise ConfigError(f"{source}: {name} is missing; {protocol} needs it")
    certificates = [key for key in options if key.startswith("ssl_")] + list(pem)
    if certificates and not protocol.endswith("SSL"):
        raise ConfigError(f"{source}: {certificates[0]} is given, but security.protocol is {protocol}")
    for one, other in (("ssl.certificate", "ssl.key"), ("ssl.key", "ssl.certificate")):
        if _has(one, options, pem) and not _has(other, options, pem):
            raise ConfigError(f"{source}: {one} is given without {other}")
    if pem and any(key in options for key in ("ssl_cafile", "ssl_certfile", "ssl_keyfile")):
        raise ConfigError(f"{source}: certificates are given both as files and as texts; use one")


def _has(what: str, options: Mapping[str, Any], pem: Mapping[str, str]) -> bool:
    return _OPTIONS[f"{what}.location"] in options or f"{what}.pem" in pem


def _is_name_checked(source: str, algorithm: str) -> bool:
    if str(algorithm).lower() not in _HOST_NAMES:
        name = "ssl.endpoint.identification.algorithm"
        raise ConfigError(f"{source}: {name} must be https, none or empty, found {algorithm!r}")
    return _HOST_NAMES[str(algorithm).lower()]


def _whole(source: str, name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{source}: {name} must be a whole number, found {value!r}") from None


def _context(servers: str, pem: Mapping[str, str], password: str | None) -> ssl.SSLContext:
    """A TLS context of texts; only the client's own certificate touches a file, which is gone when this returns."""
    try:
        context = ssl.create_default_context(cadata=pem.get("ssl.ca.pem"))
        if "ssl.certificate.pem" in pem:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "client.pem"
                file.touch(0o600)
                file.write_text(f"{pem['ssl.certificate.pem']}\n{pem['ssl.key.pem']}\n")
                context.load_cert_chain(file, password=password)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"kafka at {servers}: a certificate or key cannot be used: {error}") from None
    return context
