"""A lock between processes: a file, held by flock.

The kernel gives it up when the holder ends, however it ends, so a lock file that lies about is never stale. A child
process that inherits the file descriptor goes on holding it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bigdata.errors import StackError

_POLL_SECONDS = 0.1


@contextmanager
def hold(path: Path, what: str, progress: Callable[[str], None], timeout: float) -> Iterator[int]:
    """Hold the lock for the body's time; yields the file descriptor.

    :param what: what is locked, for messages.
    :param timeout: seconds to wait for another holder.
    :raises StackError: when another process keeps it that long.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        waited, deadline = False, time.monotonic() + timeout
        while not _acquire(file.fileno()):
            holder = _holder(path)
            if not waited:
                progress(f"{what}: waiting for {holder}, which is at work on it")
                waited = True
            if time.monotonic() > deadline:
                raise StackError(
                    what, f"{holder} has held {path} for {timeout:.0f} s", "Wait for it or end it, then try again"
                )
            time.sleep(_POLL_SECONDS)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _acquire(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> str:
    text = path.read_text()
    return f"process {text}" if text.isdigit() else "another process"
