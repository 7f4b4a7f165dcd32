"""Producing, consuming and moving exactly once, beside bare loops of the client, in turns; prints ratios.

    python bench/kafka/throughput.py [RECORDS] [ROUNDS]

With the Kafka provider installed beside it (pip install apache-airflow-providers-apache-kafka), its
ProduceToTopicOperator is measured, too, on fewer records.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer

from bigdata import settings
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.logs import quiet
from bigdata.kafka.produce import produce
from bigdata.kafka.records import Record
from bigdata.kafka.topics import ensure_topic
from bigdata.kafka.transform import transform
from bigdata.local.stack import Stack

VALUE = b"x" * 100
PARTITIONS = 3


class Bench:
    def __init__(self, config: KafkaConfig, records: int) -> None:
        self.config, self.count = config, records
        self.server = config.bootstrap_servers.split(",")
        self.source = self.topic()
        self.produce(self.source)

    def topic(self) -> str:
        name = f"bench.{uuid4().hex[:8]}"
        ensure_topic(self.config, name, PARTITIONS, configs={"retention.ms": 3_600_000})
        return name

    def bare_produce(self) -> None:
        producer, topic = KafkaProducer(bootstrap_servers=self.server), self.topic()
        for number in range(self.count):
            producer.send(topic, key=str(number).encode(), value=VALUE)
        producer.flush()
        producer.close()

    def produce(self, topic: str = "", transactional_id: str = "") -> None:
        records = (Record(str(number).encode(), VALUE) for number in range(self.count))
        receipt = produce(self.config, topic or self.topic(), records, "bench", transactional_id=transactional_id)
        assert receipt.sent == self.count

    def produce_in_transaction(self) -> None:
        self.produce(transactional_id=uuid4().hex)

    def bare_consume(self) -> None:
        consumer, read = self._bare_consumer(), 0
        while read < self.count:
            read += sum(map(len, consumer.poll(1000).values()))
        consumer.close()

    def consume(self) -> None:
        assert consume(self.config, self.source, uuid4().hex, lambda record: None).count == self.count

    def bare_move(self) -> None:
        """Read and write on, with nothing that makes it safe."""
        consumer, producer, output, read = self._bare_consumer(), KafkaProducer(bootstrap_servers=self.server), "", 0
        output = self.topic()
        while read < self.count:
            for messages in consumer.poll(1000).values():
                for message in messages:
                    producer.send(output, key=message.key, value=message.value)
                read += len(messages)
        producer.flush()
        producer.close()
        consumer.close()

    def move_exactly_once(self) -> None:
        done = transform(
            self.config,
            self.source,
            uuid4().hex,
            lambda record: Record(record.key, record.value),
            self.topic(),
            uuid4().hex,
        )
        assert done.produced == self.count

    def _bare_consumer(self) -> KafkaConsumer:
        return KafkaConsumer(
            self.source, bootstrap_servers=self.server, group_id=uuid4().hex, auto_offset_reset="earliest"
        )


def provider_rate(server: list[str], records: int) -> float:
    """Records a second of the provider's operator with its defaults; 0 where it is not installed."""
    try:
        from airflow.providers.apache.kafka.operators import produce as provider
    except ImportError:
        return 0.0
    import os

    topic = f"bench.{uuid4().hex[:8]}"
    ensure_topic(KafkaConfig(",".join(server)), topic, PARTITIONS)
    os.environ["AIRFLOW_CONN_BENCH"] = f"kafka://?bootstrap.servers={','.join(server)}"
    operator = provider.ProduceToTopicOperator(
        task_id="bench",
        kafka_config_id="bench",
        topic=topic,
        producer_function=lambda: ((str(number), VALUE) for number in range(records)),
    )
    began = time.perf_counter()
    operator.execute({})
    return records / (time.perf_counter() - began)


def rate(what: Callable[[], None], records: int) -> float:
    began = time.perf_counter()
    what()
    return records / (time.perf_counter() - began)


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    quiet()
    kafka = Stack(settings.load()).up(["kafka"])[0]
    bench = Bench(KafkaConfig(kafka.url), records)
    pairs = [
        ("produce", bench.produce, bench.bare_produce, 0.9),
        ("produce in a transaction", bench.produce_in_transaction, bench.bare_produce, 0.7),
        ("consume", bench.consume, bench.bare_consume, 0.9),
        ("move exactly once", bench.move_exactly_once, bench.bare_move, 0.7),
    ]
    best = 0.0
    print(f"{records} records of {len(VALUE)} bytes, {PARTITIONS} partitions, one broker, {rounds} rounds in turns")
    for name, ours, bare, aim in pairs:
        found = [(rate(ours, records), rate(bare, records)) for _ in range(rounds)]
        mine, theirs = (statistics.median(side) for side in zip(*found, strict=True))
        ratio = statistics.median(one / other for one, other in found)
        best = mine if name == "produce in a transaction" else best
        print(f"{name:<26} {mine:>9.0f}/s, bare {theirs:>9.0f}/s, ratio {ratio:.2f} (aim {aim})")
    with suppress(KeyboardInterrupt):
        if theirs := provider_rate(bench.server, min(records, 20_000)):
            print(f"{'ProduceToTopicOperator':<26} {theirs:>9.0f}/s, ratio {best / theirs:.1f} (aim 15)")


if __name__ == "__main__":
    main()
