"""A spark-submit under its guard: started, read line by line, and ended.

It lives as long as this process wants it and is alive; see :mod:`bigdata.spark.submit.guard`. Its folder goes with it.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bigdata.errors import SubmitError
from bigdata.spark.driver.output import Lines
from bigdata.spark.submit import guard

_TICK = 1.0
_AFTERGLOW = 2.0
# Beyond the grace, for SIGKILL and for removing the run's folder.
_GUARD_SECONDS = 20.0


def make_run_dir(runs_dir: Path, name: str) -> Path:
    """Make a folder for one run; clears up after runs that were killed together with their guards."""
    runs_dir.mkdir(parents=True, exist_ok=True)
    guard.sweep(runs_dir)
    return Path(tempfile.mkdtemp(prefix=f"{name[:30]}-", dir=runs_dir))


def write_private(file: Path, text: str) -> None:
    """Write a new file that only its owner can read."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


class Child:
    """A running command.

    :param run_dir: its folder, removed at its end.
    :param grace: seconds it gets to stop by itself when it is ended.
    :raises SubmitError: the guard cannot start.
    """

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], cwd: Path, run_dir: Path, grace: float
    ) -> None:
        self.run_dir, self.grace = run_dir, grace
        self.ended_by_us = False
        self._process = subprocess.Popen(
            guard.command(run_dir),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        order = {"argv": list(argv), "env": dict(environment), "cwd": str(cwd), "grace": grace}
        try:
            self._stdin.write(json.dumps(order).encode() + b"\n")
            self._stdin.flush()
        except BrokenPipeError:
            said = self._process.communicate()[0].decode("utf-8", "replace").strip()
            raise SubmitError(f"the guard of spark-submit could not start: {said}") from None

    @property
    def code(self) -> int:
        """The exit code, 128 and the number for a signal; only after the end."""
        code = self._process.returncode
        return 128 - code if code < 0 else code

    def lines(self, redacted: Iterable[str] = ()) -> Iterator[str | None]:
        """Yield the lines of the output until the end, and None when there was none for a second.

        :param redacted: texts that are shown as ``***``.
        """
        lines = Lines(redacted)
        descriptor = self._stdout.fileno()
        ended_at = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                if selector.select(_TICK):
                    data = os.read(descriptor, 65536)
                    if not data:
                        break
                    yield from lines.feed(data)
                else:
                    yield None
                # Something that got away from the guard may hold the pipe open for ever.
                if self._process.poll() is not None:
                    ended_at = ended_at or time.monotonic()
                    if time.monotonic() - ended_at > _AFTERGLOW:
                        break
        yield from lines.finish()
        self._process.wait()
        self._clear()

    def end(self) -> None:
        """End the command and everything it started; returns when all of it is gone. Harmless after the end."""
        if self._process.poll() is None:
            self.ended_by_us = True
        with suppress(OSError):
            self._stdin.close()
        self._drain(time.monotonic() + self.grace + _GUARD_SECONDS)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._clear()

    def _drain(self, deadline: float) -> None:
        """Wait for the end, and read on meanwhile: a driver whose output nobody reads cannot stop by itself."""
        with selectors.DefaultSelector() as selector, suppress(OSError, ValueError):
            selector.register(self._stdout.fileno(), selectors.EVENT_READ)
            while self._process.poll() is None and time.monotonic() < deadline:
                if selector.select(0.2) and not os.read(self._stdout.fileno(), 65536):
                    break
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))

    def _clear(self) -> None:
        """Do the guard's last work if the guard could not."""
        if self.run_dir.exists():
            guard.end(str(self.run_dir), self.grace)
            guard.remove(self.run_dir)
