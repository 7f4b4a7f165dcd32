"""What a task has: a context, and somebody who listens."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from .jobs import FakeTask, Said


@pytest.fixture
def context() -> dict[str, Any]:
    ti = FakeTask(dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1, pushed={})
    return {"ti": ti, "run_id": "r"}


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Iterator[Said]:
    ours, found = logging.getLogger("bigdata"), Said(capfd)
    level = ours.level
    ours.setLevel(logging.INFO)
    ours.addHandler(found)
    yield found
    ours.removeHandler(found)
    ours.setLevel(level)
