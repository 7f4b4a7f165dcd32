"""What of kafka-python's cost of a send can be configured away: the bare client with other settings, in turns.

    python bench/kafka/client.py [RECORDS] [ROUNDS]

Prints the processor's time for a record and the ratio to the client as it comes. Where the rest of the time goes, a
sampling profiler shows: py-spy record --gil --format raw --output profile.txt -- python bench/kafka/client.py 100000 1
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer

from bigdata import settings
from bigdata.kafka import partitioning
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.logs import quiet
from bigdata.kafka.outbox import BATCH_BYTES, LINGER_MS
from bigdata.kafka.topics import ensure_topic
from bigdata.local.stack import Stack

VALUE = b"x" * 100
PARTITIONS = 3


def variants() -> dict[str, dict[str, Any]]:
    larger = {"batch_size": 128 * 1024, "linger_ms": 5}
    ours = {"batch_size": BATCH_BYTES, "linger_ms": LINGER_MS}
    return {
        "as it comes (16 KiB, 0 ms)": {},
        "128 KiB, 5 ms": larger,
        f"{BATCH_BYTES // 1024} KiB, {LINGER_MS} ms, as our tasks do": ours,
        "and our partitioner": {**ours, "partitioner": partitioning.make()},
        "and a transaction": {**ours, "partitioner": partitioning.make(), "transactional_id": uuid4().hex},
        "not idempotent": {**ours, "partitioner": partitioning.make(), "enable_idempotence": False},
    }


def cost(config: KafkaConfig, records: int, options: dict[str, Any]) -> float:
    """Seconds of the processor for a record."""
    topic = f"bench.{uuid4().hex[:8]}"
    ensure_topic(config, topic, PARTITIONS, configs={"retention.ms": 3_600_000})
    producer = KafkaProducer(bootstrap_servers=config.bootstrap_servers.split(","), **options)
    is_transactional = "transactional_id" in options
    if is_transactional:
        producer.init_transactions()
        producer.begin_transaction()
    began = time.process_time()
    for number in range(records):
        producer.send(topic, key=str(number).encode(), value=VALUE)
    producer.flush()
    if is_transactional:
        producer.commit_transaction()
    spent = time.process_time() - began
    producer.close()
    return spent / records


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    quiet()
    config = KafkaConfig(Stack(settings.load()).up(["kafka"])[0].url)
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, options in variants().items():
            found.setdefault(name, []).append(cost(config, records, options))
    print(f"{records} records of {len(VALUE)} bytes, {PARTITIONS} partitions, one broker, {rounds} rounds in turns")
    bare = next(iter(found.values()))
    for name, costs in found.items():
        ratio = statistics.median(one / other for one, other in zip(bare, costs, strict=True))
        print(f"{name:<32} {statistics.median(costs) * 1e6:5.1f} µs a record, {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
