"""Prove that a stream delivered what the topic holds: each record once, as a row or as a reject.

Delivery contract: nothing is changed but a note of how far the proof has come, ``verified.json`` beside the stream's
log, written after it. A crash before that has the next call prove the same batches again.
"""

from __future__ import annotations

import json
import logging
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bigdata.errors import DataError, DeliveryError
from bigdata.kafka.config import KafkaConfig, reachable
from bigdata.kafka.consume import consume
from bigdata.kafka.reader import Reader
from bigdata.kafka.records import Record
from bigdata.storage import stream
from bigdata.storage.stream import Batch

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

log = logging.getLogger(__name__)

GROUP = "titanic_stream.verify"
_SHOWN = 3

#: partition → a numpy array
Offsets = dict[int, Any]


@dataclass
class Proof:
    """What was proven.

    :param offsets: partition → first offset of the batches that were looked at, and the one behind the last.
    :param counts: partition → records.
    :param reasons: why the first rejects were rejected, with their place.
    """

    batches: int = 0
    rows: int = 0
    rejects: int = 0
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


def prove(config: KafkaConfig, fs: FileSystem, base: str, topic: str) -> Proof:
    """Compare the batches that were not proven yet with the topic, record by record.

    Records of aborted transactions, and the marks that transactions leave, have offsets and are none of the topic's
    records: it is records that are compared, as a reader of committed ones gets them, not distances of offsets.

    :param base: the folder the stream writes to, as `fs` names it.
    :raises DeliveryError: a record is lost or doubled; tells which.
    :raises DataError: files hold other records than the log says.
    """
    known = _proven(fs, base)
    batches = stream.delivered(fs, base, max(known, 0))
    batches = batches[1:] if known >= 0 else batches
    if not batches:
        return Proof()
    spans = {partition: (_begin(batches, partition), end) for partition, end in batches[-1].end.items()}
    written = _written(fs, batches)
    kept = _kept(config, topic)
    _compare(topic, written, _there(config, topic, spans, kept), kept)
    proof = Proof(
        len(batches),
        sum(batch.rows for batch in batches),
        sum(batch.rejects for batch in batches),
        spans,
        {partition: len(offsets) for partition, offsets in sorted(written.items())},
        _reasons(fs, batches),
    )
    with fs.open_output_stream(f"{base}/verified.json") as out:
        out.write(json.dumps({"batch": batches[-1].number}).encode())
    return proof


def check_reached(fs: FileSystem, base: str, topic: str, ends: Mapping[int, int]) -> None:
    """Check that a stream has come to these ends of its topic.

    :raises DeliveryError: it has not.
    """
    batches = stream.delivered(fs, base)
    reached = batches[-1].end if batches else {}
    short = {part: end for part, end in ends.items() if reached.get(part, 0) < end}
    if short:
        where = ", ".join(
            f"{topic}[{part}] is read up to {reached.get(part, 0)} of {end}" for part, end in short.items()
        )
        raise DeliveryError(topic, sum(ends.values()), sum(reached.values()), where)


def _proven(fs: FileSystem, base: str) -> int:
    try:
        with fs.open_input_stream(f"{base}/verified.json") as stream_:
            return int(json.loads(stream_.read())["batch"])
    except FileNotFoundError:
        return -1


def _begin(batches: Iterable[Batch], partition: int) -> int:
    return next(batch.spans[partition][0] for batch in batches if partition in batch.spans)


def _written(fs: FileSystem, batches: Iterable[Batch]) -> Offsets:
    """The offsets in the files, by partition; each batch must have as many as its entry says, and its own alone."""
    import numpy

    found: dict[int, list[Any]] = defaultdict(list)
    for batch in batches:
        count = 0
        for partition, offsets in _places(fs, (*batch.rows_files, *batch.rejects_files)):
            count += len(offsets)
            first, end = batch.spans.get(partition, (0, 0))
            if offsets.min() < first or offsets.max() >= end:
                said = f"offsets {offsets.min()} to {offsets.max()} of partition {partition}"
                raise DataError(f"batch {batch.number} has {said}, but its own are {first} to {end - 1}")
            found[partition].append(offsets)
        if count != batch.rows + batch.rejects:
            said = f"{batch.rows} rows and {batch.rejects} rejects"
            raise DataError(f"batch {batch.number}: {said} by its entry, but {count} in its files")
    return {partition: numpy.concatenate(parts) for partition, parts in sorted(found.items())}


def _places(fs: FileSystem, files: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Partitions and the offsets of their records, piece by piece."""
    from pyarrow import parquet

    for file in files:
        table = parquet.read_table(file, columns=["partition", "offset"], filesystem=fs)
        partitions, offsets = table["partition"].to_numpy(), table["offset"].to_numpy()
        for partition in table["partition"].unique().to_pylist():
            yield partition, offsets[partitions == partition]


def _there(config: KafkaConfig, topic: str, spans: Mapping[int, tuple[int, int]], kept: Mapping[int, int]) -> Offsets:
    """The offsets of the topic's records in spans, as far as the brokers have kept them."""
    import numpy

    found = {partition: array("q") for partition in spans}
    left = {partition for partition, (first, end) in spans.items() if first < end}
    readers: list[Reader] = []

    def take(record: Record) -> None:
        first, end = spans.get(record.partition, (0, 0))
        if first <= record.offset < end:
            found[record.partition].append(record.offset)
        if record.offset >= end - 1:
            left.discard(record.partition)
            if not left:
                readers[0].stopped.set()

    if left:
        start = {partition: max(first, kept.get(partition, 0)) for partition, (first, _) in spans.items()}
        consume(config, topic, GROUP, take, start, opened=readers.append)
    return {partition: numpy.array(offsets) for partition, offsets in found.items()}


def _kept(config: KafkaConfig, topic: str) -> dict[int, int]:
    from kafka import KafkaConsumer, TopicPartition

    with reachable(config):
        consumer = KafkaConsumer(**config.consumer_options())
        try:
            parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            return {part.partition: offset for part, offset in consumer.beginning_offsets(parts).items()}
        finally:
            consumer.close(autocommit=False)


def _compare(topic: str, written: Offsets, there: Offsets, kept: Mapping[int, int]) -> None:
    import numpy

    problems: dict[str, list[str]] = {"lost": [], "doubled": [], "not in the topic": []}
    old = 0
    for partition in sorted(set(written) | set(there)):
        theirs = there.get(partition, numpy.array([], "int64"))
        ours, times = numpy.unique(written.get(partition, theirs[:0]), return_counts=True)
        young = ours[ours >= kept.get(partition, 0)]
        old += len(ours) - len(young)
        wrong = (numpy.setdiff1d(theirs, ours), ours[times > 1], numpy.setdiff1d(young, theirs))
        for places, offsets in zip(problems.values(), wrong, strict=True):
            places += [f"{topic}[{partition}]@{offset}" for offset in offsets]
    if old:
        log.warning("%d records were delivered that the topic has no more: they cannot be compared", old)
    said = [f"{len(places)} {what}: {', '.join(places[:_SHOWN])}" for what, places in problems.items() if places]
    if said:
        raise DeliveryError(topic, sum(map(len, there.values())), sum(map(len, written.values())), "; ".join(said))


def _reasons(fs: FileSystem, batches: list[Batch]) -> list[str]:
    rejected = [batch for batch in batches if batch.rejects]
    if not rejected:
        return []
    found = stream.rejects(fs, rejected).head(_SHOWN).to_pylist()
    return [f"{row['topic']}[{row['partition']}]@{row['offset']}: {row['reason']}" for row in found]
