"""Stacks of one's own, to be broken at will; only the jars are the developer's, so that nothing is downloaded twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bigdata import settings
from bigdata.local import jars, process
from bigdata.local.stack import Stack
from bigdata.settings import Settings

from .processes import running

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def jars_dir() -> Path:
    shared = settings.from_environment(ROOT, {})
    jars.fetch(shared, ["kafka", "s3", "spark"], print)
    return shared.state_dir / "jars"


@pytest.fixture
def own_settings(tmp_path: Path, jars_dir: Path) -> Settings:
    own = settings.from_environment(tmp_path, {})
    own.state_dir.mkdir()
    (own.state_dir / "jars").symlink_to(jars_dir, target_is_directory=True)
    return own


@pytest.fixture
def own_stack(own_settings: Settings) -> Iterator[Callable[..., Stack]]:
    """Makes a stack in the test's folder; whatever it left running is ended."""

    def make(patience: float = 30.0, **changes: Any) -> Stack:
        return Stack(dataclasses.replace(own_settings, **changes), patience=patience)

    yield make
    process.stop(running(own_settings), grace=5)
