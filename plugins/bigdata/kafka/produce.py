"""Produce records and prove that each was delivered.

Delivery contract: ``acks=all`` and idempotence, so the broker stores each record of one call once and in order per
partition, however often the client resends it. :func:`produce` returns only when every record was acknowledged.
When it raises, or the process dies, some records may be in the topic: a second call writes all of them again. Every
record therefore carries the header ``delivery``, by which a reader tells one call's records from another's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from bigdata.errors import DeliveryError
from bigdata.kafka.config import KafkaConfig, reachable

log = logging.getLogger(__name__)

DELIVERY_HEADER = "delivery"
BATCH = 10_000
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


def produce(config: KafkaConfig, topic: str, records: Iterable[Record], delivery: str, batch: int = BATCH) -> Receipt:
    """Send all records and wait until the brokers have them.

    Memory holds one batch, whatever the number of records.

    :param delivery: names this call's records in their header.
    :param batch: records in flight between two waits.
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
            _deliver(producer, receipt, chunk, header)
            if time.monotonic() - last_progress >= PROGRESS_SECONDS:
                last_progress = time.monotonic()
                log.info("%d records delivered to %s", receipt.sent, topic)
    finally:
        producer.close(timeout=10)
    log.info("%d records delivered to %s, offsets %s", receipt.sent, topic, receipt.offsets)
    return receipt


def _deliver(producer: Any, receipt: Receipt, chunk: list[Record], header: tuple[str, bytes]) -> None:
    from kafka.errors import KafkaError

    def send() -> Iterator[Any]:
        for record in chunk:
            yield producer.send(receipt.topic, key=record.key, value=record.value, headers=[*record.headers, header])

    failure: Exception | None = None
    acknowledged = 0
    try:
        futures = list(send())
        producer.flush()
    except KafkaError as error:
        raise DeliveryError(receipt.topic, receipt.sent + len(chunk), receipt.sent, _why(error)) from error
    for future in futures:
        try:
            metadata = future.get(timeout=0)
        except KafkaError as error:
            failure = failure or error
            continue
        acknowledged += 1
        first, last = receipt.offsets.get(metadata.partition, (metadata.offset, metadata.offset))
        receipt.offsets[metadata.partition] = (min(first, metadata.offset), max(last, metadata.offset))
    if failure:
        raise DeliveryError(
            receipt.topic, receipt.sent + len(chunk), receipt.sent + acknowledged, _why(failure)
        ) from failure
    receipt.sent += acknowledged


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
