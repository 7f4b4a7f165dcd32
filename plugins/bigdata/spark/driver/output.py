"""A driver's output as lines, and what its log tells: that it runs, where its UI is, where its event log lies."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Iterable, Iterator

_LONGEST_LINE = 64 * 1024
_KEPT_LINES = 1000

_UI = re.compile(r"Successfully started service 'SparkUI' on port (\d+)")
_ROLLING_LOG = re.compile(r"EventLogFilesWriter: Logging events to (\S+)/events_\d+_([^/\s.]+)\S*$")
_SINGLE_LOG = re.compile(r"SingleEventLogFileWriter: Logging events to (\S+/([^/\s.]+)\S*?)(?:\.inprogress)?$")
_LOST = re.compile(r"Lost executor (\d+) on \S+: (.*)")
# On a line of its own when the executor's container has ended.
_EXITED = re.compile(r"^(?=The executor with id (\d+) exited )(.*)")
_RUNNING = re.compile(r"Running Spark version|Submitted application: ")


class Lines:
    """Bytes in, whole lines out. A line without an end is given out in pieces of 64 KiB; a byte that is no UTF-8
    becomes U+FFFD.

    :param redacted: texts that are shown as ``***``.
    """

    def __init__(self, redacted: Iterable[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._redacted = [text for text in redacted if text]

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that are complete now."""
        # A progress bar separates its states by carriage returns only.
        *whole, self._rest = re.split(r"\r?\n|\r(?!$)", self._rest + self._decoder.decode(data))
        yield from map(self._clean, whole)
        while len(self._rest) > _LONGEST_LINE:
            yield self._clean(self._rest[:_LONGEST_LINE])
            self._rest = self._rest[_LONGEST_LINE:]

    def finish(self) -> Iterator[str]:
        """Yield what is left when no more bytes come."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        if rest.strip("\r"):
            yield self._clean(rest)

    def _clean(self, line: str) -> str:
        for text in self._redacted:
            line = line.replace(text, "***")
        return line.rstrip("\r")


class Telltale:
    """What the lines seen so far tell.

    :param is_running: Spark has begun.
    :param ui_port: of the UI; 0 while unknown.
    :param event_log: a URI; empty while unknown.
    :param application_id: Spark's own; empty while unknown.
    :param lost: why executors ended too early, by their number.
    :param tail: the last lines.
    """

    def __init__(self) -> None:
        self.is_running = False
        self.ui_port = 0
        self.event_log = ""
        self.application_id = ""
        self.lost: dict[str, str] = {}
        self.tail: deque[str] = deque(maxlen=_KEPT_LINES)

    def see(self, line: str) -> None:
        """Take a line in."""
        self.tail.append(line)
        if not self.is_running and _RUNNING.search(line):
            self.is_running = True
        if not self.ui_port and (found := _UI.search(line)):
            self.ui_port = int(found[1])
        if not self.event_log and (found := _ROLLING_LOG.search(line) or _SINGLE_LOG.search(line)):
            self.event_log, self.application_id = found[1], found[2]
        found = _LOST.search(line) or _EXITED.search(line)
        if found and found[2].strip():
            self.lost[found[1]] = found[2].strip()
