"""Produce records and prove that each was delivered.

Delivery contract: ``acks=all`` and idempotence, so the broker stores each record of one call once and in order per
partition, however often the client resends it. :func:`produce` returns only when every record was acknowledged.
When it raises, or the process dies, some records may be in the topic: a second call writes all of them again. Every
record therefore carries the header ``delivery``, by which a reader tells one call's records from another's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from bigdata.errors import DeliveryError
from bigdata.kafka.config import KafkaConfig, reachable

log = logging.getLogger(__name__)

DELIVERY_HEADER = "delivery"
BATCH = 10_000
DELIVERY_TIMEOUT = 120.0
CLOSE_TIMEOUT = 10.0
PROGRESS_SECONDS = 10


@dataclass(frozen=True)
class Record:
    """What is sent, or was read."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = -1
    offset: int = -1


@dataclass
class Receipt:
    """What a :func:`produce` delivered.

    :param offsets: partition → first and last offset that this delivery's records took.
    """

    topic: str
    delivery: str
    sent: int = 0
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, for an XCom."""
        return asdict(self) | {"offsets": {str(part): list(span) for part, span in sorted(self.offsets.items())}}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Receipt:
        """Inverse of :meth:`to_dict`."""
        offsets = {int(part): (span[0], span[1]) for part, span in data["offsets"].items()}
        return cls(data["topic"], data["delivery"], data["sent"], offsets)


def produce(
    config: KafkaConfig,
    topic: str,
    records: Iterable[Record],
    delivery: str,
    batch: int = BATCH,
    delivery_timeout: float = DELIVERY_TIMEOUT,
) -> Receipt:
    """Send all records and wait until the brokers have them.

    Memory holds one batch, whatever the number of records.

    :param delivery: names this call's records in their header.
    :param batch: records in flight between two waits.
    :param delivery_timeout: seconds that the brokers get to acknowledge a batch, resends included.
    :raises DeliveryError: a record was not acknowledged; counts what was.
    :raises StackError: no broker answers.
    """
    from kafka import KafkaProducer

    receipt = Receipt(topic, delivery)
    header = (DELIVERY_HEADER, delivery.encode())
    stream = iter(records)
    last_progress = time.monotonic()
    with reachable(config):
        producer = KafkaProducer(acks="all", enable_idempotence=True, linger_ms=5, **config.client_options())
    try:
        while chunk := list(islice(stream, batch)):
            _deliver(producer, receipt, chunk, header, delivery_timeout)
            if time.monotonic() - last_progress >= PROGRESS_SECONDS:
                last_progress = time.monotonic()
                log.info("%d records delivered to %s", receipt.sent, topic)
    except BaseException:
        _abandon(producer)
        raise
    producer.close(timeout=CLOSE_TIMEOUT)
    log.info("%d records delivered to %s, offsets %s", receipt.sent, topic, receipt.offsets)
    return receipt


def _deliver(
    producer: Any, receipt: Receipt, chunk: list[Record], header: tuple[str, bytes], delivery_timeout: float
) -> None:
    from kafka.errors import KafkaError

    failure: Exception | None = None
    futures = []
    try:
        for record in chunk:
            headers = [*record.headers, header]
            futures.append(producer.send(receipt.topic, key=record.key, value=record.value, headers=headers))
        # The client's own delivery timeout does not end the wait for a partition whose leader is gone.
        producer.flush(timeout=delivery_timeout)
    except KafkaError as error:
        failure = error
    acknowledged = 0
    for future in futures:
        if not future.is_done or future.failed():
            failure = failure or future.exception
            continue
        acknowledged += 1
        metadata = future.value
        first, last = receipt.offsets.get(metadata.partition, (metadata.offset, metadata.offset))
        receipt.offsets[metadata.partition] = (min(first, metadata.offset), max(last, metadata.offset))
    if failure or acknowledged < len(chunk):
        sent, known = receipt.sent + len(chunk), receipt.sent + acknowledged
        raise DeliveryError(receipt.topic, sent, known, _why(failure)) from failure
    receipt.sent += acknowledged


def _abandon(producer: Any) -> None:
    """End the sender, so that a failed call delivers nothing later."""
    from kafka.errors import KafkaError

    # There is no public way: close() flushes first, and if that times out it raises and the sender goes on.
    producer._sender.force_close()
    with suppress(KafkaError):
        producer.close(timeout=CLOSE_TIMEOUT)


def _why(error: Exception | None) -> str:
    return f"{type(error).__name__}: {error}"
