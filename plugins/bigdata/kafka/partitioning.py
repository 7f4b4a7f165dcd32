"""Where a record goes: by its key's hash, as the Java client and kafka-python choose, in a third of the time.

kafka-python's own looks up and sorts the partitions for each record, and hashes byte by byte (bench/kafka).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import unpack_from
from typing import Any

#: gets a key and the numbers of the partitions, and chooses one
Partitioner = Callable[[bytes | None, Sequence[int]], int]

_MASK = 0xFFFFFFFF
_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """Murmur2 as ``org.apache.kafka.common.utils.Utils.murmur2``, without a sign."""
    size = len(data)
    words = size >> 2
    found = _SEED ^ size
    for word in unpack_from(f"<{words}I", data):
        word = word * _FACTOR & _MASK
        found = (found * _FACTOR ^ (word ^ word >> 24) * _FACTOR) & _MASK
    if rest := data[words << 2 :]:
        found = (found ^ int.from_bytes(rest, "little")) * _FACTOR & _MASK
    found = (found ^ found >> 13) * _FACTOR & _MASK
    return found ^ found >> 15


def make(choose: Partitioner | None = None) -> Any:
    """A partitioner for a ``KafkaProducer``; it asks for a topic's partitions anew when the client has news of them.

    :param choose: default: by the key's hash; records without a key fill a batch of one partition, then of another.
    """
    from kafka.partitioner import StickyPartitioner

    class Chosen(StickyPartitioner):
        def __init__(self) -> None:
            super().__init__()
            self._cluster: Any = None
            self._partitions: dict[str, list[int]] = {}

        def partition(
            self, topic: str, key: Any, serialized_key: Any, value: Any, serialized_value: Any, cluster: Any
        ) -> int:
            if serialized_key is None and choose is None:
                return int(super().partition(topic, key, serialized_key, value, serialized_value, cluster))
            if cluster is not self._cluster:
                self._cluster = cluster
                cluster.add_listener(lambda news: self._partitions.clear())
            partitions = self._partitions.get(topic)
            if partitions is None:
                partitions = self._partitions[topic] = sorted(cluster.partitions_for_topic(topic))
            if choose is not None:
                return choose(serialized_key, partitions)
            return partitions[(murmur2(serialized_key) & 0x7FFFFFFF) % len(partitions)]

    return Chosen()
