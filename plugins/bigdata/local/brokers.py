"""Which brokers make up the embedded cluster: one, or three that vote for each other.

Contract: the voters know each other by their inner ports, so these are written down before the first of them starts,
and stay while any of them runs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from bigdata.errors import StackError
from bigdata.local import ports, record
from bigdata.local.kafka import Kafka
from bigdata.local.launch import record_path

KAFKA = "kafka"
ROSTERS: dict[int, tuple[str, ...]] = {1: (KAFKA,), 3: tuple(f"{KAFKA}-{number}" for number in (1, 2, 3))}
BROKERS = {names[node - 1]: Kafka(node, names) for names in ROSTERS.values() for node in range(1, len(names) + 1)}

_FIRST_INNER_PORT = 19292


def roster(state_dir: Path, wanted: int) -> tuple[str, ...]:
    """The names of the brokers.

    :param wanted: 1, 3, or 0 for as many as were started last and not stopped; one if none was.
    """
    if wanted:
        return ROSTERS[wanted]
    for names in ROSTERS.values():
        if any(record.load(record_path(state_dir, name)).started for name in names):
            return names
    return ROSTERS[1]


def reserve_inner_ports(state_dir: Path, names: Collection[str], taken: Collection[int]) -> None:
    """Write down a free inner port for each broker of a cluster; those of one that runs stay.

    :raises StackError: another process has taken the port of one while others run.
    """
    if len(names) == 1:
        return
    records = {name: record.load(record_path(state_dir, name)) for name in names}
    running = {name for name, found in records.items() if found.process()}
    used = set(taken) | {found.inner_port for found in records.values()}
    for name, found in records.items():
        if name in running or (found.inner_port and ports.is_free(found.inner_port)):
            continue
        if running:
            who = ports.holder(found.inner_port)
            hint = "End it, or start all brokers anew: bigdata local down, bigdata local up"
            raise StackError(name, f"port {found.inner_port}, by which the others know it, is taken by {who}", hint)
        chosen = ports.free_port(_FIRST_INNER_PORT, used)
        used.add(chosen)
        record.save(record_path(state_dir, name), replace(found, inner_port=chosen))
