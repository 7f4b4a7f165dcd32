import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bigdata.local import process

MARK = "-Dbigdata.stack=/some where/test"


def start(tmp_path: Path, program: str) -> psutil.Popen:
    mark = f"{MARK}{tmp_path}"
    environ = {"PATH": os.environ["PATH"], process.MARK_VARIABLE: mark}
    return process.spawn([sys.executable, "-c", program, mark], tmp_path / "log", environ, tmp_path)


@pytest.fixture
def sleeper(tmp_path):
    child = start(tmp_path, "import time; print('up', flush=True); time.sleep(60)")
    yield child
    child.kill()
    child.wait()


def wait_for(text: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while text not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_spawned_process_has_its_own_session_and_log(sleeper, tmp_path):
    wait_for("up", tmp_path / "log")
    assert os.getsid(sleeper.pid) == sleeper.pid != os.getsid(0)


def test_a_process_is_found_by_pid_and_creation_time(sleeper):
    assert process.find(sleeper.pid, sleeper.create_time()) == psutil.Process(sleeper.pid)


def test_a_stranger_with_the_same_pid_is_not_believed(sleeper):
    assert process.find(sleeper.pid, sleeper.create_time() - 3600) is None


def test_an_ended_process_is_not_found_even_while_it_is_a_zombie(sleeper):
    created = sleeper.create_time()
    os.kill(sleeper.pid, 9)
    deadline = time.monotonic() + 20
    while psutil.Process(sleeper.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
    assert process.find(sleeper.pid, created) is None


def test_processes_are_found_by_their_mark(sleeper, tmp_path):
    wait_for("up", tmp_path / "log")
    assert [item.pid for item in process.marked({f"{MARK}{tmp_path}"})] == [sleeper.pid]
    assert process.marked({MARK}) == []


def test_what_a_killed_one_started_is_found_by_its_mark(tmp_path):
    child = "import time; print('child', flush=True); time.sleep(60)"
    program = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    parent = start(tmp_path, program)
    wait_for("child", tmp_path / "log")
    (orphan,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    assert process.marked({f"{MARK}{tmp_path}"}) == [orphan]
    process.stop([orphan], grace=10)
    assert not orphan.is_running()


def test_stop_ends_the_whole_group_and_insists(tmp_path):
    stubborn = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    child = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('child', flush=True); time.sleep(60)"
    )
    parent = start(tmp_path, f"{stubborn}subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)")
    wait_for("child", tmp_path / "log")
    family = [psutil.Process(parent.pid), *psutil.Process(parent.pid).children()]
    assert len(family) == 2
    process.stop([parent], grace=0.2)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_stop_leaves_one_that_is_in_no_group_of_its_own_its_group():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process.stop([psutil.Process(child.pid)], grace=10)
    assert not psutil.pid_exists(child.pid)  # and this process, of the same group, still runs
    child.wait()
