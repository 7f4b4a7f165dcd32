"""The ends of log files, and what is added to them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

_POLL_SECONDS = 0.2
_BYTES_PER_LINE = 400


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines; empty when there is no such file."""
    return _Tail(log).start(count)


def tail(logs: Mapping[str, Path], count: int, follow: bool) -> Iterator[tuple[str, str]]:
    """Name and line: the last ``count`` of each log, and with ``follow`` all that come, until the caller stops."""
    tails = {name: _Tail(path) for name, path in logs.items()}
    for name, one in tails.items():
        yield from ((name, line) for line in one.start(count))
    while follow:
        time.sleep(_POLL_SECONDS)
        for name, one in tails.items():
            yield from ((name, line) for line in one.more())


class _Tail:
    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0

    def start(self, count: int) -> list[str]:
        try:
            size = self.path.stat().st_size
        except OSError:
            return []
        self.position = max(0, size - _BYTES_PER_LINE * count)
        lines = self._read()
        return lines[-count:] if count > 0 else []

    def more(self) -> list[str]:
        try:
            if self.path.stat().st_size < self.position:
                self.position = 0  # a restart of the service began the log anew
            return self._read()
        except OSError:
            return []

    def _read(self) -> list[str]:
        """All whole lines from the position on."""
        with self.path.open("rb") as file:
            file.seek(self.position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.position += len(whole)
        return whole.decode("utf-8", "replace").splitlines()
