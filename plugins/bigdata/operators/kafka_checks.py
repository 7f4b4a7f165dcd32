"""Bodies of the tasks that check Kafka: what was sent is read back, and every replica is in sync."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from bigdata import connections, settings
from bigdata.errors import DataError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.receipt import Receipt
from bigdata.kafka.reconcile import Reconciliation
from bigdata.kafka.topics import require_topic

log = logging.getLogger(__name__)

#: replicas that a record should have, where there are so many brokers
REPLICAS = 3


def read_back(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Read a delivery back; begins where it begins, so that it can be run again.

    :raises DeliveryError: a record is lost or doubled.
    """
    sent = Receipt.from_dict(dict(receipt))
    reconciliation = Reconciliation(sent)
    start = {partition: first for partition, (first, _) in sent.offsets.items()}
    group = f"{settings.load().instance or 'bigdata'}.verify"
    consumed = consume(_config(), sent.topic, group, reconciliation, start)
    return {"found": reconciliation.check(), "others": reconciliation.others, "read": consumed.count}


def check_replicas(topic: str, partitions: int, brokers: int) -> dict[str, Any]:
    """Look at the topic's partitions.

    :raises DataError: there are too few, one has no leader, or a replica is not in sync.
    """
    found = require_topic(_config(), topic)
    wanted = min(REPLICAS, brokers)
    problems = []
    if found.partitions < partitions:
        problems.append(f"{found.partitions} of {partitions} partitions")
    if found.leaderless:
        problems.append(f"no leader for partitions {', '.join(map(str, found.leaderless))}")
    if found.replicas < wanted:
        problems.append(f"{found.replicas} replicas of {wanted}")
    if found.in_sync < found.replicas:
        problems.append(f"{found.in_sync} of {found.replicas} replicas in sync")
    if problems:
        raise DataError(f"topic {topic}: {'; '.join(problems)}")
    return found.to_dict()


def report(receipt: Mapping[str, Any], read: Mapping[str, Any], checked: Mapping[str, Any], run_id: str) -> str:
    """Say what was found."""
    spread = "\n".join(
        f"  partition {partition:>3}: {last - first + 1:>9} offsets, {first} to {last}"
        for partition, (first, last) in receipt["offsets"].items()
    )
    text = (
        f"{run_id}: topic {checked['name']}, {checked['partitions']} partitions, {checked['replicas']} replicas, "
        f"{checked['in_sync']} in sync\n"
        f"{receipt['sent']} records sent, {read['found']} read back once each\n{spread}"
    )
    log.info("%s", text)
    return text


def _config() -> KafkaConfig:
    return connections.kafka(settings.load().kafka_conn_id)
