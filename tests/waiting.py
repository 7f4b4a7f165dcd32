"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def soon(condition: Callable[[], Any], seconds: float = 240.0) -> bool:
    """Whether it comes true; asked five times a second."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return bool(condition())
