"""A run that is killed, with no chance to clean up, leaves the old result or the new, never none, never a mixture."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem

from bigdata.storage import dataset
from publication import version_name

from .conftest import DATA, GOOD, JOBS, Run, tree_kill

pytestmark = pytest.mark.integration

Csv = Callable[..., Path]

# Runs the real job and dies at the door of one of its steps, as by kill -9.
DYING = """
import os, signal, sys
sys.path.insert(0, sys.argv.pop(1))
owner, _, step = sys.argv.pop(1).rpartition(".")
import hadoop, publication, titanic_etl
setattr(eval(owner), step, lambda *args: os.kill(os.getpid(), signal.SIGKILL))
sys.exit(titanic_etl.main())
"""


def readable(out: Path) -> tuple[str, int]:
    """The version that a reader gets now, and its rows."""
    published = dataset.current(LocalFileSystem(), str(out))
    rows = sum(batch.num_rows for batch in dataset.batches(LocalFileSystem(), published.passengers_path))
    assert rows == published.rows_out
    return published.version, rows


def start(*command: str) -> subprocess.Popen[bytes]:
    environ = {key: value for key, value in os.environ.items() if key != "SPARK_HOME"}
    conf = "--master local[2] --conf spark.ui.enabled=false --driver-memory 1g pyspark-shell"
    environ |= {"PYSPARK_SUBMIT_ARGS": conf, "PYSPARK_PYTHON": sys.executable}
    return subprocess.Popen([sys.executable, *command], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    ("step", "delivered"),
    [
        ("publication.Publication.publish", False),
        ("hadoop.Store.rename", False),
        ("publication.Publication.prune", True),
    ],
    ids=["written-but-not-published", "pointer-written-aside", "published-but-not-cleaned-up"],
)
def test_a_kill_at_the_doors_of_publication(csv: Csv, run: Run, tmp_path: Path, step: str, delivered: bool) -> None:
    out = tmp_path / "out"
    first = run(DATA, out).result["version"]
    second = run(DATA, out).result["version"]

    process = start("-c", DYING, str(JOBS), step, f"--input=file:{csv(GOOD)}", f"--output=file:{out}")
    _, err = process.communicate(timeout=300)

    assert process.returncode == -9, err.decode()
    version, rows = readable(out)
    assert (version != second, rows) == (delivered, 1 if delivered else 891)
    versions = {path.name for path in (out / "versions").iterdir()}
    assert {first, second} < versions
    assert len(versions) == 3

    third = run(DATA, out).result
    assert (third["previous"], readable(out)) == (version, (third["version"], 891))


def test_a_kill_while_rows_are_written(csv: Csv, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    version = run(DATA, out).result["version"]
    source = csv(*DATA.read_text().splitlines()[1:] * 400)
    process = start(str(JOBS / "titanic_etl.py"), f"--input=file:{source}", f"--output=file:{out}")

    def half_written() -> bool:
        return any(path.stat().st_size for path in out.glob("versions/*/passengers/_temporary/**/*.parquet"))

    deadline = time.monotonic() + 300
    while not half_written() and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read().decode()  # type: ignore[union-attr]
        time.sleep(0.01)
    tree_kill(process.pid)
    process.communicate(timeout=60)

    assert half_written()
    assert readable(out) == (version, 891)
    orphan = next(path for path in (out / "versions").iterdir() if path.name != version)
    again = run(DATA, out).result
    assert (readable(out), orphan.exists()) == ((again["version"], 891), True)

    old = orphan.with_name(version_name("run", datetime.now(UTC) - timedelta(days=1, seconds=1)))
    shutil.move(orphan, old)
    run(DATA, out)
    assert not old.exists()
