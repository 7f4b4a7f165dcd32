"""An ``up`` that is interrupted, killed, or not the only one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from bigdata.local.launch import record_path
from bigdata.local.record import State
from bigdata.local.stack import Stack
from bigdata.settings import Settings

from ..processes import running

pytestmark = pytest.mark.integration

Make = Callable[..., Stack]


def up_in_a_child(own: Settings) -> subprocess.Popen[str]:
    program = (
        "import signal, sys; from pathlib import Path; from bigdata import settings; "
        "from bigdata.local.stack import Stack; "
        # Whoever runs these tests in a shell's background ignores it, and children inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        "Stack(settings.from_environment(Path(sys.argv[1]), {})).up(progress=lambda line: print(line, flush=True))"
    )
    command = [sys.executable, "-c", program, str(own.project_dir)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_services(own: Settings) -> None:
    deadline = time.monotonic() + 60
    while len(running(own)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_up_that_is_interrupted_leaves_nothing(own_stack: Make, own_settings: Settings):
    with up_in_a_child(own_settings) as child:
        wait_for_services(own_settings)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert running(own_settings) == []


def test_an_up_that_is_killed_is_cleared_up_by_down_and_healed_by_up(own_stack: Make, own_settings: Settings):
    stack = own_stack()
    with up_in_a_child(own_settings) as child:
        wait_for_services(own_settings)
        child.kill()
    # Even the record of what it started may be missing.
    record_path(own_settings.state_dir, "s3").unlink(missing_ok=True)
    assert len(running(own_settings)) == 2
    stack.down()
    assert running(own_settings) == []

    with up_in_a_child(own_settings) as child:
        wait_for_services(own_settings)
        child.kill()
    healed = stack.up()
    assert [item.state for item in healed] == [State.UP, State.UP]
    assert {item.pid for item in running(own_settings)} == {item.pid for item in healed}


def test_two_ups_at_once_start_everything_once(own_stack: Make, own_settings: Settings):
    with up_in_a_child(own_settings) as one, up_in_a_child(own_settings) as other:
        outputs = [child.communicate(timeout=120) for child in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], outputs
    assert sum(output.count("kafka: starting") for output, _ in outputs) == 1
    assert len(running(own_settings)) == 2
