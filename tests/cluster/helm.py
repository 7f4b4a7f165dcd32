"""Real helm, and where the charts are that the tests render."""

from __future__ import annotations

import os
import subprocess

import pytest


def helm(*command: str) -> str:
    """What helm prints."""
    done = subprocess.run(["helm", *command], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


def chart(variable: str, values: str) -> str:
    """The folder or archive that a variable names; skips without.

    :param values: the file of values that is for it.
    """
    found = os.environ.get(variable)
    if not found:
        pytest.skip(f"{variable} is not set: the folder or archive of the chart of {values}")
    return found
