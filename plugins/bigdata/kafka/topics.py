"""Topics by the brokers' admin API: made if need be, widened, never narrowed and never deleted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from bigdata.errors import ConfigError, DeliveryError, StackError
from bigdata.kafka.config import KafkaConfig, admin_of, reachable, why

log = logging.getLogger(__name__)

T = TypeVar("T")
_PATIENCE = 20.0
_PAUSE = 0.5


@dataclass(frozen=True)
class Topic:
    """A topic as the brokers describe it.

    :param replicas: of the partition that has the fewest.
    :param in_sync: in-sync replicas of the partition that has the fewest.
    :param leaderless: numbers of the partitions without a leader.
    """

    name: str
    partitions: int
    replicas: int
    in_sync: int
    leaderless: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, for an XCom."""
        return asdict(self) | {"leaderless": list(self.leaderless)}


def ensure_topic(
    config: KafkaConfig,
    topic: str,
    partitions: int = -1,
    replication_factor: int = -1,
    configs: Mapping[str, Any] | None = None,
) -> Topic:
    """Have a topic with at least so many partitions and with these settings.

    A topic that is there keeps what it has more: partitions are added, which sends keys to other partitions from then
    on, and never taken away; the replication factor stays as it is.

    :param partitions: -1 takes the brokers' default, and leaves those of a topic that is there.
    :param replication_factor: -1 takes the brokers' default.
    :param configs: the topic's settings by Kafka's names, such as ``retention.ms``; others are left alone.
    :raises ConfigError: the brokers refuse the name, a number or a setting.
    :raises StackError: no broker answers, or it does not let us in.
    """
    wanted = {key: _text(value) for key, value in (configs or {}).items()}
    return _ask(config, topic, lambda admin: _ensure(admin, topic, partitions, replication_factor, wanted))


def describe_topic(config: KafkaConfig, topic: str) -> Topic | None:
    """A topic as it is now; None if there is none that this user may see.

    :raises ConfigError: no topic can have that name.
    :raises StackError: no broker answers, or it does not let us in.
    """
    return _ask(config, topic, lambda admin: _describe(admin, topic))


def require_topic(config: KafkaConfig, topic: str) -> Topic:
    """A topic that must be there.

    :raises DeliveryError: it is not, or this user may not see it.
    :raises StackError: no broker answers, or it does not let us in.
    """
    found = describe_topic(config, topic)
    if found is None:
        raise DeliveryError(topic, 0, 0, "the topic does not exist, or this user may not see it")
    return found


def _ask(config: KafkaConfig, topic: str, ask: Callable[[Any], T]) -> T:
    """Ask, and ask again while a broker that was just there is gone: the client asks one that may be the dead one."""
    from kafka.errors import KafkaConnectionError

    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with reachable(config), _admin(config, topic) as admin:
                return ask(admin)
        except StackError as error:
            if not isinstance(error.__cause__, KafkaConnectionError) or time.monotonic() > deadline:
                raise
            log.info("Asking another broker: %s", error.problem)
        time.sleep(_PAUSE)


@contextmanager
def _admin(config: KafkaConfig, topic: str) -> Iterator[Any]:
    from kafka.errors import BrokerResponseError, RetriableError

    with admin_of(config) as admin:
        try:
            yield admin
        except RetriableError:
            raise
        except (BrokerResponseError, ValueError) as error:
            if "Authorization" in type(error).__name__:
                raise
            raise ConfigError(f"topic {topic!r}: {_said(error)}") from error


def _ensure(admin: Any, topic: str, partitions: int, replication_factor: int, wanted: Mapping[str, str]) -> Topic:
    from kafka.errors import TopicAlreadyExistsError

    made = {"num_partitions": partitions, "replication_factor": replication_factor, "configs": dict(wanted)}
    try:
        admin.create_topics({topic: made}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return _adapt(admin, topic, partitions, replication_factor, wanted)
    found = _require(admin, topic)
    log.info("Topic %s created: %d partitions on %d brokers each", topic, found.partitions, found.replicas)
    return found


def _adapt(admin: Any, topic: str, partitions: int, replication_factor: int, wanted: Mapping[str, str]) -> Topic:
    found = _require(admin, topic)
    if found.partitions < partitions:
        admin.create_partitions({topic: partitions})
        admin.wait_for_topics([topic])
        log.warning(
            "Topic %s: from %d to %d partitions; keys may go to others now", topic, found.partitions, partitions
        )
        found = _require(admin, topic)
    elif 0 < partitions < found.partitions:
        log.info("Topic %s has %d partitions, more than %d: left so", topic, found.partitions, partitions)
    if 0 < replication_factor != found.replicas:
        log.warning("Topic %s has %d replicas, not %d: left so", topic, found.replicas, replication_factor)
    if wanted:
        _alter(admin, topic, wanted)
    return found


def _describe(admin: Any, topic: str) -> Topic | None:
    from kafka import errors

    (found,) = admin.describe_topics([topic])
    error = errors.for_code(found["error_code"])
    if error is errors.UnknownTopicOrPartitionError:
        return None
    if error not in (errors.NoError, errors.LeaderNotAvailableError):
        raise error(f"topic {topic}")
    partitions = found["partitions"]
    return Topic(
        topic,
        len(partitions),
        min((len(part["replica_nodes"]) for part in partitions), default=0),
        min((len(part["isr_nodes"]) for part in partitions), default=0),
        tuple(part["partition_index"] for part in partitions if part["leader_id"] < 0),
    )


def _require(admin: Any, topic: str) -> Topic:
    found = _describe(admin, topic)
    if found is None:
        raise ConfigError(f"topic {topic!r} was there and is gone: somebody deletes it")
    return found


def _alter(admin: Any, topic: str, wanted: Mapping[str, str]) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    now = {key: str(entry.get("value")) for key, entry in _entries(found, topic).items()}
    unknown = sorted(set(wanted) - set(now))
    if unknown:
        raise ConfigError(f"topic {topic!r}: there is no setting {unknown[0]!r}")
    changed = {key: value for key, value in wanted.items() if now[key] != value}
    if changed:
        for answer in _each(admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changed)])):
            if answer != "OK":
                raise ConfigError(f"topic {topic!r}: {answer}")
        log.info("Topic %s: %s", topic, ", ".join(f"{key} from {now[key]} to {changed[key]}" for key in changed))


def _entries(found: Any, topic: str) -> Mapping[str, Any]:
    for by_name in found.values():
        if topic in by_name:
            entries: Mapping[str, Any] = by_name[topic]
            return entries
    return {}


def _each(answers: Any) -> list[str]:
    return [str(answer) for by_name in answers.values() for answer in by_name.values()]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _said(error: BaseException) -> str:
    """What the broker itself said, out of the client's dump of request and response."""
    text = why(error)
    _, found, rest = text.partition("error_message='")
    if not found:
        _, found, rest = text.partition('error_message="')
    if not found:
        return text
    return f"{type(error).__name__}: {rest.partition(', topic_config_error_code')[0].rstrip(chr(39) + chr(34))}"
