"""How to reach a Kafka cluster, as a plain value that clients are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bigdata.errors import ConfigError, StackError

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
    "client.id": "client_id",
}
CONNECT_TIMEOUT_MS = 10_000


@dataclass(frozen=True)
class KafkaConfig:
    """A cluster's address and credentials; ``repr`` shows no option, since some are secret."""

    bootstrap_servers: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_properties(cls, source: str, properties: Mapping[str, Any]) -> KafkaConfig:
        """Take options by the names Kafka's documentation uses, such as ``bootstrap.servers``.

        :param source: where they come from, for the error: a connection id, a file.
        :raises ConfigError: an option is missing or not known.
        """
        unknown = sorted(set(properties) - set(_OPTIONS))
        if unknown:
            raise ConfigError(f"{source}: unknown Kafka option {unknown[0]!r}; known: {', '.join(_OPTIONS)}")
        options = {_OPTIONS[key]: value for key, value in properties.items()}
        servers = options.pop("bootstrap_servers", "")
        if not servers:
            raise ConfigError(f"{source}: bootstrap.servers is missing")
        return cls(servers, options)

    def client_options(self) -> dict[str, Any]:
        """Options for any of kafka-python's clients."""
        return {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "bootstrap_timeout_ms": CONNECT_TIMEOUT_MS,
            **self.options,
        }


@contextmanager
def reachable(config: KafkaConfig) -> Iterator[None]:
    """Turn "no broker answers" of any client into one clear error.

    :raises StackError: naming the address and what to do.
    """
    from kafka.errors import KafkaConnectionError, KafkaTimeoutError

    try:
        yield
    except (KafkaConnectionError, KafkaTimeoutError) as error:
        raise StackError(
            "kafka",
            f"no broker answers at {config.bootstrap_servers} ({type(error).__name__})",
            "The embedded broker is started by: bigdata local up",
        ) from error
