"""Topics: made if need be, widened, never narrowed; what the brokers refuse is told in their words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from bigdata.errors import ConfigError, DeliveryError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.produce import produce
from bigdata.kafka.topics import Topic as Described
from bigdata.kafka.topics import describe_topic, ensure_topic, require_topic

from .records import Topic, numbers, records

pytestmark = pytest.mark.integration


@pytest.fixture
def name() -> str:
    return f"test.{uuid4().hex[:8]}"


def settings_of(config: KafkaConfig, topic: str) -> dict[str, str]:
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    admin = KafkaAdminClient(**config.client_options())
    try:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return {key: entry["value"] for key, entry in found["topic"][topic].items()}
    finally:
        admin.close()


def test_a_topic_is_made_with_its_settings_and_found_again(kafka: KafkaConfig, name: str) -> None:
    assert describe_topic(kafka, name) is None
    made = ensure_topic(kafka, name, 9, 1, {"retention.ms": 60_000, "unclean.leader.election.enable": False})
    assert made == Described(name, partitions=9, replicas=1, in_sync=1) == require_topic(kafka, name)
    assert settings_of(kafka, name)["retention.ms"] == "60000"


def test_a_topic_is_widened_and_keeps_its_records(make_topic: Callable[..., Topic]) -> None:
    topic = make_topic(1)
    produce(topic.config, topic.name, records(50), "d")
    assert ensure_topic(topic.config, topic.name, 4).partitions == 4
    produce(topic.config, topic.name, records(50, first=50), "d")
    assert topic.keys() == numbers(100)
    assert {record.partition for record in topic.read()} == {0, 1, 2, 3}


def test_a_topic_is_never_narrowed(kafka: KafkaConfig, name: str) -> None:
    ensure_topic(kafka, name, 4)
    assert ensure_topic(kafka, name, 2).partitions == 4
    assert ensure_topic(kafka, name).partitions == 4


def test_only_the_settings_that_are_given_change(kafka: KafkaConfig, name: str) -> None:
    ensure_topic(kafka, name, 1, configs={"retention.ms": 60_000, "cleanup.policy": "compact"})
    ensure_topic(kafka, name, 1, configs={"retention.ms": 70_000})
    found = settings_of(kafka, name)
    assert (found["retention.ms"], found["cleanup.policy"]) == ("70000", "compact")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"topic": "a b"}, "topic 'a b': .*characters other than ASCII alphanumerics"),
        ({"partitions": 0}, "non-positive"),
        ({"replication_factor": 7}, "Unable to replicate the partition 7 time"),
        ({"configs": {"no.such": 1}}, "no.such"),
    ],
)
def test_what_the_brokers_refuse_is_told_in_their_words(
    kafka: KafkaConfig, name: str, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ensure_topic(kafka, **({"topic": name} | wrong))


@pytest.mark.parametrize(
    ("configs", "message"),
    [({"no.such": 1}, "there is no setting 'no.such'"), ({"retention.ms": "soon"}, "Invalid value soon")],
)
def test_a_wrong_setting_of_a_topic_that_is_there_is_told(
    kafka: KafkaConfig, name: str, configs: dict[str, Any], message: str
) -> None:
    ensure_topic(kafka, name, 1)
    with pytest.raises(ConfigError, match=message):
        ensure_topic(kafka, name, 1, configs=configs)


def test_a_topic_that_must_be_there_is_missed(kafka: KafkaConfig, name: str) -> None:
    with pytest.raises(DeliveryError, match=f"{name}: .*does not exist"):
        require_topic(kafka, name)
