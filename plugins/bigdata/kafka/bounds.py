"""When a read of a topic ends."""

from __future__ import annotations

from dataclasses import dataclass

from bigdata.errors import ConfigError


@dataclass(frozen=True)
class Bounds:
    """When a read ends: at the first of these.

    :param end: where the topic ended when the read began, for the whole group: partitions that other members have are
        waited for.
    :param count: so many records.
    :param seconds: so long.
    :param idle: no record for so many seconds.
    """

    end: bool = True
    count: int = 0
    seconds: float = 0.0
    idle: float = 0.0

    def __post_init__(self) -> None:
        if min(self.count, self.seconds, self.idle) < 0:
            raise ConfigError(f"a read cannot be bounded by less than 0: {self}")
        if not (self.end or self.count or self.seconds or self.idle):
            raise ConfigError("a read needs a bound: end, count, seconds or idle")
