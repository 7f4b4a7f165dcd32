"""The guard, with small programs in Spark's place: whatever ends, no process and no folder is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bigdata.spark.submit import guard

from ....waiting import soon

# A driver with a worker in a process group of its own, as PySpark's daemon is, and one in a session of its own.
TREE = """
import os, subprocess, sys, time
def start(code, **options):
    subprocess.Popen([sys.executable, "-c", code], **options)
sleep = "import time; time.sleep(600)"
start(sleep, process_group=0)
start(sleep, start_new_session=True)
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('stubborn', flush=True); "
start(stubborn + "time.sleep(600)")
print("up", flush=True)
time.sleep(600)
"""


def start(run_dir: Path, code: str, grace: float = 5.0, **env: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        guard.command(run_dir),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    order = {"argv": [sys.executable, "-c", code], "env": {**os.environ, **env}, "cwd": str(run_dir), "grace": grace}
    assert process.stdin
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.flush()
    return process


def say(process: subprocess.Popen[bytes], *words: str) -> None:
    """Wait until the tree has said all words."""
    assert process.stdout
    said = {process.stdout.readline().decode().strip() for _ in words}
    assert said == set(words)


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    yield folder
    guard.end(str(folder), grace=0.1)


def test_an_exit_code_is_passed_on_and_the_folder_removed(run_dir: Path) -> None:
    process = start(run_dir, "import sys; print('hello'); sys.exit(7)")
    assert process.stdout
    assert process.stdout.read() == b"hello\n"
    assert process.wait(30) == 7
    assert not run_dir.exists()


def test_a_signal_becomes_128_and_its_number(run_dir: Path) -> None:
    process = start(run_dir, "import os; os.kill(os.getpid(), 9)")
    assert process.wait(30) == 137


def test_what_the_driver_left_running_is_ended(run_dir: Path) -> None:
    process = start(run_dir, TREE.replace("time.sleep(600)\n", "sys.exit(0)\n"))
    assert process.wait(30) == 0
    assert guard.members(str(run_dir)) == []


@pytest.mark.parametrize("way", ["close", "terminate"])
def test_cancelling_ends_the_whole_tree(run_dir: Path, way: str) -> None:
    process = start(run_dir, TREE, grace=0.5)
    say(process, "up", "stubborn")
    assert len(guard.members(str(run_dir))) == 4
    assert process.stdin
    process.stdin.close() if way == "close" else process.terminate()
    assert process.wait(30) == guard.CANCELLED
    assert guard.members(str(run_dir)) == []
    assert not run_dir.exists()


def test_a_driver_gets_time_to_stop(run_dir: Path) -> None:
    code = "import signal, sys, time\ndef stop(*_):\n    time.sleep(1); print('flushed', flush=True); sys.exit(0)\n"
    code += "signal.signal(signal.SIGTERM, stop); print('up', flush=True); time.sleep(600)"
    process = start(run_dir, code, grace=20)
    say(process, "up")
    began = time.monotonic()
    output, _ = process.communicate(timeout=30)
    assert output == b"flushed\n"
    assert time.monotonic() - began < 15


def test_a_task_killed_by_sigkill_takes_spark_with_it(run_dir: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree.py"
    tree.write_text(TREE)
    task = f"""
import json, os, subprocess, sys
from pathlib import Path
from bigdata.spark.submit import guard
run_dir = Path({str(run_dir)!r})
process = subprocess.Popen(guard.command(run_dir), stdin=subprocess.PIPE, start_new_session=True)
order = {{"argv": [sys.executable, {str(tree)!r}], "env": dict(os.environ), "cwd": str(run_dir), "grace": 0.5}}
process.stdin.write(json.dumps(order).encode() + b"\\n")
process.stdin.flush()
process.wait()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", task],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    say(process, "up", "stubborn")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert soon(lambda: not guard.members(str(run_dir)))
    assert soon(lambda: not run_dir.exists())


def test_a_killed_guard_leaves_what_the_mark_still_finds(run_dir: Path) -> None:
    process = start(run_dir, TREE)
    say(process, "up", "stubborn")
    process.kill()
    process.wait()
    assert len(guard.members(str(run_dir))) == 4
    guard.end(str(run_dir), grace=0.2)
    assert guard.members(str(run_dir)) == []


def test_the_next_run_clears_up_after_two_that_were_killed(run_dir: Path) -> None:
    old = time.time() - 3600
    dead = start(run_dir, TREE)
    say(dead, "up", "stubborn")
    dead.kill()
    dead.wait()
    os.utime(run_dir, (old, old))
    alive_dir, young = run_dir.parent / "two", run_dir.parent / "three"
    for folder in (alive_dir, young):
        folder.mkdir()
    alive = start(alive_dir, "print('up', flush=True); import time; time.sleep(600)")
    say(alive, "up")
    os.utime(alive_dir, (old, old))
    guard.sweep(run_dir.parent)
    assert sorted(path.name for path in run_dir.parent.iterdir()) == ["three", "two"]
    assert guard.members(str(run_dir)) == []
    assert alive.poll() is None
    alive.terminate()
    alive.wait(30)


def test_a_command_that_cannot_start_is_told(run_dir: Path) -> None:
    process = subprocess.Popen(
        guard.command(run_dir), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    order = {"argv": ["/no/such/spark-submit"], "env": {}, "cwd": str(run_dir), "grace": 1}
    output, _ = process.communicate(json.dumps(order).encode() + b"\n", timeout=30)
    assert process.returncode == guard.CANNOT_START
    assert b"cannot start /no/such/spark-submit: " in output


def test_a_task_that_dies_before_its_order_starts_nothing(run_dir: Path) -> None:
    process = subprocess.Popen(guard.command(run_dir), stdin=subprocess.PIPE)
    process.communicate(timeout=30)
    assert process.returncode == guard.CANCELLED
    assert not run_dir.exists()


def test_strangers_are_left_alone(run_dir: Path) -> None:
    own = psutil.Process()
    assert own.pid not in {process.pid for process in guard.members(str(run_dir), os.getsid(0))}
    stranger = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env={guard.MARK: f"{run_dir}-other"}
    )
    try:
        guard.end(str(run_dir), grace=0.1)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
