"""What is written down of each service in ``<state_dir>/stack/<service>.json``, and what is true of it now."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

import psutil

from bigdata.local import process
from bigdata.local.files import write_whole


class State(StrEnum):
    """Of a service, as found by looking at it."""

    UP = "up"
    DOWN = "down"
    #: its process ended without ``down``
    DEAD = "dead"
    #: its process runs and does not answer
    SILENT = "not answering"


@dataclass(frozen=True)
class Record:
    """One service, as last started. After ``down`` the ports stay, so that the next start has the same.

    :param pid: of its process, with ``created``, the process's creation time in seconds; 0 when it was stopped.
    :param since: when it was started, in seconds since 1970.
    """

    port: int = 0
    inner_port: int = 0
    version: str = ""
    pid: int = 0
    created: float = 0.0
    since: float = 0.0

    @property
    def started(self) -> bool:
        """Whether it was started and not stopped since; it may be dead all the same."""
        return self.pid > 0

    def process(self) -> psutil.Process | None:
        """Its process, if that still runs."""
        return process.find(self.pid, self.created) if self.started else None

    def stopped(self) -> Record:
        """The record after an orderly stop."""
        return replace(self, pid=0, created=0.0, since=0.0)


@dataclass(frozen=True)
class Status:
    """A service as it is now.

    :param since: seconds since 1970; 0 unless its process runs.
    """

    name: str
    state: State
    pid: int
    port: int
    url: str
    version: str
    since: float


def load(path: Path) -> Record:
    """Read a record; one that is missing or damaged counts as empty."""
    try:
        return Record(**{key: kind(value) for key, kind, value in _fields(json.loads(path.read_text()))})
    except (OSError, ValueError, TypeError, AttributeError):
        return Record()


def save(path: Path, record: Record) -> None:
    """Write a record, whole or not at all."""
    write_whole(path, json.dumps(asdict(record), indent=1))


def _fields(found: dict[str, object]) -> list[tuple[str, type, object]]:
    return [(key, type(default), found[key]) for key, default in asdict(Record()).items() if key in found]
