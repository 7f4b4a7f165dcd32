import subprocess
import sys
import time

import pytest

from bigdata.errors import StackError
from bigdata.local.lock import hold

HOLDER = """
import sys, time
from pathlib import Path
from bigdata.local.lock import hold
with hold(Path(sys.argv[1]), "thing", print, 5) as descriptor:
    if sys.argv[2:]:
        import subprocess
        subprocess.Popen(["sleep", sys.argv[2]], pass_fds=(descriptor,))
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    started = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock"), *arguments]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def test_a_second_process_waits_and_says_for_whom_then_gives_up(tmp_path, holder):
    child = holder()
    told: list[str] = []
    with (
        pytest.raises(StackError, match=rf"thing: process {child.pid} has held"),
        hold(tmp_path / "lock", "thing", told.append, 0.3),
    ):
        pass
    assert told == [f"thing: waiting for process {child.pid}, which is at work on it"]


def test_a_killed_holder_leaves_no_lock(tmp_path, holder):
    child = holder()
    child.kill()
    child.wait()
    with hold(tmp_path / "lock", "thing", pytest.fail, 10):
        pass


def test_a_child_that_inherits_the_lock_keeps_it(tmp_path, holder):
    child = holder("2")
    child.kill()
    child.wait()
    begun = time.monotonic()
    with hold(tmp_path / "lock", "thing", lambda line: None, 20):
        assert time.monotonic() - begun > 0.5
