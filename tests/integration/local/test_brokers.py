"""One embedded broker or three: each way has its own data, and the number that runs is remembered."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.topics import describe_topic, ensure_topic
from bigdata.local.stack import Stack
from bigdata.settings import Settings

pytestmark = pytest.mark.integration


def test_from_one_to_three_and_back(own_stack: Callable[..., Stack], own_settings: Settings) -> None:
    def servers() -> KafkaConfig:
        found = json.loads((own_settings.state_dir / "connections.json").read_text())
        return KafkaConfig(found["kafka_default"]["extra"]["bootstrap.servers"])

    own_stack().up(["kafka"])
    ensure_topic(servers(), "of.one", 1)

    told: list[str] = []
    three = own_stack(kafka_brokers=3)
    assert [status.name for status in three.up(["kafka"], told.append)] == ["kafka-1", "kafka-2", "kafka-3"]
    assert told[0] == "kafka: stopping, as the number of brokers changes; its data stays in data/kafka"
    assert len(servers().bootstrap_servers.split(",")) == 3
    assert describe_topic(servers(), "of.one") is None
    made = ensure_topic(servers(), "of.three", 1)
    assert (made.replicas, made.in_sync) == (3, 3)

    plain = own_stack()  # nobody says how many: as many as run
    assert [status.name for status in plain.up(["kafka"])] == ["kafka-1", "kafka-2", "kafka-3"]
    assert [status.name for status in plain.status()] == ["kafka-1", "kafka-2", "kafka-3", "s3"]

    own_stack(kafka_brokers=1).up(["kafka"])
    assert describe_topic(servers(), "of.one") is not None
    assert describe_topic(servers(), "of.three") is None
    own_stack().down()
