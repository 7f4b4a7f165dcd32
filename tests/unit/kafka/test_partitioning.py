"""Which partition a record goes to: the same as by the client's own partitioner, and so as by Java's."""

from __future__ import annotations

import random
from typing import Any

import pytest
from kafka.partitioner import DefaultPartitioner
from kafka.partitioner.default import murmur2 as theirs

from bigdata.kafka.partitioning import make, murmur2


class Cluster:
    """The few things of the client's metadata that a partitioner asks for."""

    def __init__(self, partitions: int) -> None:
        self.numbers = set(range(partitions))
        self.asked = 0
        self.listeners: list[Any] = []

    def topics(self) -> set[str]:
        return {"t"}

    def partitions_for_topic(self, topic: str) -> set[int]:
        self.asked += 1
        return set(self.numbers)

    def available_partitions_for_topic(self, topic: str) -> set[int]:
        return set(self.numbers)

    def add_listener(self, listener: Any) -> None:
        self.listeners.append(listener)


def test_the_hash_is_java_s() -> None:
    # From Kafka's own UtilsTest.
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    for data, signed in known.items():
        assert murmur2(data) == signed & 0xFFFFFFFF
    for size in range(40):
        for _ in range(20):
            data = random.randbytes(size)
            assert murmur2(data) == theirs(data)


@pytest.mark.parametrize("partitions", [1, 3, 9, 50])
def test_keys_go_where_the_client_would_send_them(partitions: int) -> None:
    cluster, ours, default = Cluster(partitions), make(), DefaultPartitioner()
    for number in range(500):
        key = str(number).encode()
        assert ours.partition("t", key, key, b"", b"", cluster) == default.partition("t", key, key, b"", b"", cluster)


def test_partitions_are_looked_up_again_when_there_is_news_of_them() -> None:
    cluster, ours = Cluster(1), make()
    places = [ours.partition("t", b"k", str(number).encode(), b"", b"", cluster) for number in range(100)]
    assert (set(places), cluster.asked) == ({0}, 1)
    cluster.numbers = {0, 1, 2}
    for listener in cluster.listeners:
        listener(cluster)
    assert {ours.partition("t", b"k", str(number).encode(), b"", b"", cluster) for number in range(100)} == {0, 1, 2}


def test_a_choice_of_one_s_own_gets_the_partitions_in_order() -> None:
    seen: list[Any] = []

    def choose(key: bytes | None, partitions: Any) -> int:
        seen.append((key, list(partitions)))
        return int(partitions[-1])

    assert make(choose).partition("t", None, None, b"", b"", Cluster(3)) == 2
    assert seen == [(None, [0, 1, 2])]
