"""Produce records and prove that each was delivered.

Delivery contract: the brokers store each record of one call once and in order per partition, and :func:`produce`
returns only when every record was acknowledged by all in-sync replicas.

Without a transaction, a call that raises or is killed may leave some of its records in the topic, and a second call
writes all of them again. Every record carries the header ``delivery``, by which a reader tells them apart.

With a ``transactional_id`` the call is all or nothing for readers with ``read_committed``, and a second call of the
same id does not double it, wherever the first was cut off:

- before the commit: beginning anew aborts what the first left open, and everything is sent again;
- after the commit, though nobody heard of it: the receipt is part of the transaction (offsets that a group of the
  transaction's name commits, forgotten by the brokers after ``offsets.retention.minutes``, a week by default), so the
  second call finds it, sends nothing and returns it;
- still running somewhere: it is fenced off and cannot commit any more.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from typing import Any

from bigdata.errors import DeliveryError
from bigdata.kafka.config import KafkaConfig, reachable, why
from bigdata.kafka.outbox import DELIVERY_TIMEOUT, TRANSACTION_TIMEOUT, WINDOW, Outbox
from bigdata.kafka.partitioning import Partitioner
from bigdata.kafka.receipt import Receipt
from bigdata.kafka.records import DELIVERY_HEADER, Record
from bigdata.kafka.topics import require_topic

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10


def produce(
    config: KafkaConfig,
    topic: str,
    records: Iterable[Record],
    delivery: str,
    *,
    transactional_id: str = "",
    transaction_timeout: float = TRANSACTION_TIMEOUT,
    window: int = WINDOW,
    delivery_timeout: float = DELIVERY_TIMEOUT,
    partitioner: Partitioner | None = None,
) -> Receipt:
    """Send all records and wait until the brokers have them.

    Memory holds one window of records, whatever their number.

    :param delivery: names this call's records in their header; with a transaction, all tries must say the same.
    :param transactional_id: send all in one transaction of this name, which no other task may use.
    :param transaction_timeout: seconds that the whole transaction may take.
    :param window: records without an acknowledgement at most.
    :param delivery_timeout: seconds that the brokers get to acknowledge a record, resends included.
    :param partitioner: gets a key and the partitions, and chooses one. Default: by the key's hash, as in Java.
    :raises DeliveryError: a record was not acknowledged, or the topic does not exist; counts what was.
    :raises StackError: no broker answers, or it does not let us in.
    """
    require_topic(config, topic)
    outbox = Outbox(
        config,
        window=window,
        delivery_timeout=delivery_timeout,
        transactional_id=transactional_id,
        transaction_timeout=transaction_timeout,
        partitioner=partitioner,
    )
    try:
        if transactional_id:
            earlier = _delivered(config, topic, transactional_id, delivery)
            if earlier:
                outbox.close()
                log.info("%d records are in %s already, delivered by an earlier try", earlier.sent, topic)
                return earlier
            outbox.begin()
        _send(outbox, topic, records, delivery)
        receipt = Receipt(topic, delivery, outbox.acknowledged, outbox.offsets(topic))
        if transactional_id:
            outbox.commit(_marks(receipt), transactional_id)
    except BaseException:
        outbox.abort() if transactional_id else outbox.abandon()
        raise
    outbox.close()
    log.info("%d records delivered to %s, offsets %s", receipt.sent, topic, receipt.offsets)
    return receipt


def _send(outbox: Outbox, topic: str, records: Iterable[Record], delivery: str) -> None:
    headers = ((DELIVERY_HEADER, delivery.encode()),)
    next_progress = time.monotonic() + PROGRESS_SECONDS
    for record in records:
        outbox.send(topic, record, headers)
        if outbox.sent % 1000 == 0 and time.monotonic() >= next_progress:
            next_progress = time.monotonic() + PROGRESS_SECONDS
            log.info("%d records sent to %s, %d acknowledged", outbox.sent, topic, outbox.acknowledged)
    outbox.flush()


def _marks(receipt: Receipt) -> dict[Any, Any]:
    """The receipt as offsets to commit: one a partition, the rest in its metadata."""
    from kafka import OffsetAndMetadata, TopicPartition

    def mark(first: int) -> str:
        return json.dumps({"delivery": receipt.delivery, "sent": receipt.sent, "first": first})

    marks = {
        TopicPartition(receipt.topic, partition): OffsetAndMetadata(last + 1, mark(first), -1)
        for partition, (first, last) in receipt.offsets.items()
    }
    return marks or {TopicPartition(receipt.topic, 0): OffsetAndMetadata(0, mark(-1), -1)}


def _delivered(config: KafkaConfig, topic: str, transactional_id: str, delivery: str) -> Receipt | None:
    """The receipt that an earlier try committed, if one did."""
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    with reachable(config):
        # With read_committed the brokers answer only when no transaction's offsets are pending.
        options = config.consumer_options() | {"isolation_level": "read_committed", "enable_auto_commit": False}
        consumer = KafkaConsumer(group_id=transactional_id, **options)
    receipt, known = Receipt(topic, delivery, repeated=True), False
    try:
        for partition in sorted(consumer.partitions_for_topic(topic) or ()):
            found = consumer.committed(TopicPartition(topic, partition), metadata=True)
            mark = _mark(found.metadata) if found else {}
            if mark.get("delivery") != delivery:
                continue
            known, receipt.sent = True, mark["sent"]
            if mark["first"] >= 0:
                receipt.offsets[partition] = (mark["first"], found.offset - 1)
    except KafkaError as error:
        raise DeliveryError(topic, 0, 0, f"the receipt of earlier tries cannot be read: {why(error)}") from error
    finally:
        consumer.close(autocommit=False)
    return receipt if known else None


def _mark(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
