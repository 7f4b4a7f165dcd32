"""A producer that knows which of its records were acknowledged.

Delivery contract: ``acks=all`` and idempotence, so that the brokers store each record once and in order per partition,
however often the client resends it. :meth:`Outbox.flush` returns only when every record so far is acknowledged. At most
``window`` records, and 64 MiB of them, are unacknowledged at any time, which bounds the memory, as the client itself
does not, and lets sending and waiting overlap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from bigdata.errors import DeliveryError
from bigdata.kafka import partitioning
from bigdata.kafka.config import KafkaConfig, reachable, why
from bigdata.kafka.deadline import within
from bigdata.kafka.partitioning import Partitioner
from bigdata.kafka.records import Headers, Record

WINDOW = 20_000
WINDOW_BYTES = 64 * 1024 * 1024
DELIVERY_TIMEOUT = 120.0
TRANSACTION_TIMEOUT = 900.0  # the most that brokers allow unless transaction.max.timeout.ms says otherwise
CLOSE_TIMEOUT = 10.0
_ABANDON_TIMEOUT = 1.0

# Larger than the client's own 16 KiB and 0 ms: fewer, fuller requests (bench/kafka). A flush waits for no linger.
BATCH_BYTES = 512 * 1024
LINGER_MS = 100


class Outbox:
    """Sends records to any topics, alone or in transactions.

    :param window: unacknowledged records at most.
    :param delivery_timeout: seconds that the brokers get to acknowledge a record, resends included.
    :param transactional_id: sends go into transactions of this name; a producer that still has it is fenced off, and
        what it left open is aborted.
    :param transaction_timeout: seconds after which the brokers abort a transaction whose producer is gone.
    :param partitioner: gets a key and the numbers of the partitions, and chooses one. Default: as the Java client does.
    :raises StackError: no broker answers, or none lets us in.
    """

    def __init__(
        self,
        config: KafkaConfig,
        *,
        window: int = WINDOW,
        delivery_timeout: float = DELIVERY_TIMEOUT,
        transactional_id: str = "",
        transaction_timeout: float = TRANSACTION_TIMEOUT,
        partitioner: Partitioner | None = None,
    ) -> None:
        from kafka import KafkaProducer

        options: dict[str, Any] = {"batch_size": BATCH_BYTES, "linger_ms": LINGER_MS, **config.producer_options()}
        options["partitioner"] = partitioning.make(partitioner)
        if transactional_id:
            options |= {
                "transactional_id": transactional_id,
                "transaction_timeout_ms": int(transaction_timeout * 1000),
            }
        self._window, self._timeout = window, delivery_timeout
        self._pending: deque[tuple[Any, int]] = deque()
        self._pending_bytes = 0
        self._spans: dict[Any, list[int]] = {}
        self.sent = self.acknowledged = 0
        with reachable(config):
            self._producer = KafkaProducer(acks="all", enable_idempotence=True, **options)
            _keep_requests(self._producer)
            if transactional_id:
                try:
                    self._producer.init_transactions()
                except BaseException:
                    self.abandon()
                    raise

    def send(self, topic: str, record: Record, headers: Headers = ()) -> None:
        """Send a record; waits for earlier ones when the window is full.

        :param headers: to be added to the record's own.
        :raises DeliveryError: this record cannot be sent, or an earlier one was not acknowledged.
        """
        from kafka.errors import KafkaError

        try:
            future = self._producer.send(
                topic,
                key=record.key,
                value=record.value,
                headers=[*record.headers, *headers],
                partition=None if record.partition < 0 else record.partition,
                timestamp_ms=None if record.timestamp < 0 else record.timestamp,
            )
        except (KafkaError, ValueError, TypeError, AssertionError) as error:
            number = self.sent + 1
            raise self._failed(topic, number, f"record {number}, key {_shown(record.key)}: {why(error)}") from error
        self.sent += 1
        size = len(record.key or b"") + len(record.value or b"")
        self._pending.append((future, size))
        self._pending_bytes += size
        if len(self._pending) >= self._window or self._pending_bytes >= WINDOW_BYTES:
            self._settle(self._window // 2, WINDOW_BYTES // 2)

    def flush(self) -> None:
        """Wait until every record is acknowledged.

        :raises DeliveryError: one was not; counts what was.
        """
        from kafka.errors import KafkaError

        try:
            self._producer.flush(timeout=self._timeout)
        except KafkaError as error:
            raise self._failed(self._waiting_for(), self.sent, why(error)) from error
        self._settle(0, 0)

    def offsets(self, topic: str) -> dict[int, tuple[int, int]]:
        """Partition → first and last offset of what was acknowledged since the last :meth:`begin`."""
        return {part.partition: (span[0], span[1]) for part, span in self._spans.items() if part.topic == topic}

    def begin(self) -> None:
        """Begin a transaction."""
        self._producer.begin_transaction()
        self._spans.clear()

    def commit(self, offsets: Mapping[Any, Any], group: Any) -> None:
        """Make the records of the transaction visible and commit these offsets: both, or neither.

        :param offsets: TopicPartition → OffsetAndMetadata; may be empty.
        :param group: a consumer's ``group_metadata()``, or the name of a group without members.
        :raises DeliveryError: not all records were acknowledged, or the transaction was not committed.
        """
        from kafka.errors import KafkaError

        self.flush()
        try:
            if offsets:
                send = self._producer.send_offsets_to_transaction
                within(self._timeout, lambda: send(dict(offsets), group), "the transaction's offsets")
            within(self._timeout, self._producer.commit_transaction, "the commit of the transaction")
        except KafkaError as error:
            raise self._failed(self._waiting_for(), self.sent, f"not committed: {why(error)}") from error

    def abort(self) -> None:
        """Drop the transaction, as well as can be, and end the producer."""
        with suppress(Exception):  # else the brokers do so when its time is up, or when the next try begins
            within(CLOSE_TIMEOUT, self._producer.abort_transaction, "the abort of the transaction")
        self.abandon()

    def close(self) -> None:
        """End the producer; everything should be flushed by now."""
        self._producer.close(timeout=CLOSE_TIMEOUT)

    def abandon(self) -> None:
        """End the producer so that nothing is delivered later."""
        from kafka.errors import KafkaError

        # There is no public way: close() flushes first, and if that times out it raises and the sender goes on.
        self._producer._sender.force_close()
        with suppress(KafkaError):
            self._producer.close(timeout=_ABANDON_TIMEOUT)

    def _settle(self, leave: int, leave_bytes: int) -> None:
        from kafka.errors import KafkaError

        pending, spans = self._pending, self._spans
        while pending and (len(pending) > leave or self._pending_bytes > leave_bytes):
            future, size = pending[0]
            if not future.is_done:
                try:
                    # The client's own delivery timeout does not end the wait for a partition whose leader is gone.
                    future.get(timeout=self._timeout)
                except KafkaError as error:
                    raise self._failed(self._waiting_for(), self.sent, why(error)) from error
            if future.exception is not None:
                raise self._failed(self._waiting_for(), self.sent, why(future.exception)) from future.exception
            pending.popleft()
            self._pending_bytes -= size
            metadata = future.value
            self.acknowledged += 1
            span = spans.get(metadata.topic_partition)
            if span is None:
                spans[metadata.topic_partition] = [metadata.offset, metadata.offset]
            else:
                span[1] = metadata.offset

    def _failed(self, topic: str, sent: int, why: str) -> DeliveryError:
        self.acknowledged += sum(future.succeeded() for future, _ in self._pending)
        self._pending.clear()
        return DeliveryError(topic, sent, self.acknowledged, why)

    def _waiting_for(self) -> str:
        """The topic of the first record without an acknowledgement."""
        for future, _ in self._pending:
            if not future.succeeded():
                return str(future._produce_future.topic_partition.topic)
        return ", ".join(sorted({part.topic for part in self._spans}))


def _keep_requests(producer: Any) -> None:
    """Work around a fault of kafka-python 3.0.12 by which a transaction stands still when its coordinator dies.

    ``Sender._maybe_send_pending_request`` takes a request off the queue and puts it back if the coordinator is not
    ready; where ``await_ready`` raises, as it does for a refused connection, it forgets the request.
    """
    from kafka.errors import KafkaError

    client = producer._sender._client
    await_ready = client.await_ready

    def is_ready(*args: Any, **kwargs: Any) -> bool:
        try:
            return bool(await_ready(*args, **kwargs))
        except KafkaError:
            return False

    client.await_ready = is_ready


def _shown(key: bytes | None) -> str:
    return repr(key.decode(errors="replace")[:80]) if isinstance(key, bytes) else repr(key)
