"""``make run`` and ``bigdata run`` as a user types them, in this checkout with a state folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bigdata.local.stack import Stack
from bigdata.settings import Settings

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]
# A network with nothing but loopback, where the system lets us make one.
OFFLINE = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
IN_VENV = Path(sys.prefix) == ROOT / ".venv"

in_venv = pytest.mark.skipif(not IN_VENV, reason="these tests do not run in the checkout's .venv, which make uses")


def clean_environment() -> dict[str, str]:
    """Without what this run was given: Airflow's settings, and what make hands to a make within (ARGS=…)."""
    return {
        key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "MAKE", "MFLAGS", "ARGS"))
    }


def make(*arguments: str, prefix: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [*(prefix or []), "make", "-C", str(ROOT), *arguments]
    return subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=900, check=False)


def can_go_offline() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*OFFLINE, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def state(own_settings: Settings, own_stack: Callable[..., Stack]) -> str:
    """A state folder that has the jars and nothing else; what was started in it is stopped."""
    return os.path.relpath(own_settings.state_dir, ROOT)


def test_make_alone_lists_the_targets() -> None:
    done = make()
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")}
    assert {"run", "test", "lint", "ui", "down", "clean"} <= listed


def test_a_python_out_of_range_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\nexit 1\n')
    old.chmod(0o755)
    done = make("run", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}", f"STATE={tmp_path / 'state'}")
    assert done.returncode != 0
    assert "Python 3.11 to 3.13 is needed, found: Python 3.9.2" in done.stderr
    assert not (tmp_path / "venv").exists()


@in_venv
@pytest.mark.skipif(not can_go_offline(), reason="this system lets nobody make a network namespace")
def test_make_run_needs_no_network_once_everything_is_there(state: str) -> None:
    done = make("run", f"STATE={state}", prefix=OFFLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    tasks = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("✔")]
    assert tasks == ["land", "transform", "quality", "send", "verify", "report", "summarize"]
    _, _, summary = done.stdout.partition("titanic_etl succeeded")
    assert "891, of whom 342 survived (233 female, 109 male" in summary
    assert "titanic.passengers: 891 sent, 891 read back" in summary
    assert "make ui opens Airflow in the browser" in summary
    assert "Traceback" not in done.stdout + done.stderr

    # The same again, without what the first run had to prepare; then nothing is left running.
    again = make("run", f"STATE={state}", 'ARGS=--conf \'{"source": "nowhere.csv"}\'', prefix=OFFLINE)
    assert again.returncode != 0
    assert "nowhere.csv does not exist" in again.stdout
    assert "342" not in again.stdout


@in_venv
def test_make_down_stops_what_make_up_started(state: str, own_settings: Settings) -> None:
    from ..processes import running

    assert make("up", f"STATE={state}").returncode == 0
    assert len(running(own_settings)) == 2
    assert make("down", f"STATE={state}").returncode == 0
    assert running(own_settings) == []
