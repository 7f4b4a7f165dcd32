"""Every test run has a project environment of its own, ``.bigdata/test/<number>``, with the jars of the developer's.

Set before Airflow is imported for the first time, because it reads its home then.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.local.environment import airflow_environment
from bigdata.local.stack import Stack
from bigdata.settings import Settings, load
from bigdata.storage.objects import ObjectStore

ROOT = Path(__file__).parents[1]
TESTS = ROOT / ".bigdata" / "test"


def _own_folder() -> tuple[Path, int]:
    """The first folder that no other test run has; the lock on it ends with this process."""
    for number in range(1, 100):
        folder = TESTS / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return folder, lock
    raise RuntimeError(f"{TESTS}: 99 test runs at once")


STATE, _LOCK = _own_folder()


def _enter() -> None:
    for key in [key for key in os.environ if key.startswith(("AIRFLOW_", "AWS_"))]:
        if not key.endswith("CA_BUNDLE"):
            del os.environ[key]
    os.environ["AIRFLOW__BIGDATA__STATE_DIR"] = str(STATE)
    # A test's JVM does not live long enough to earn back what its second compiler takes: half the time of all.
    os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"
    os.environ |= airflow_environment(ROOT)
    jars = ROOT / ".bigdata" / "jars"
    jars.mkdir(exist_ok=True)
    if not (STATE / "jars").exists():
        (STATE / "jars").symlink_to(jars, target_is_directory=True)


_enter()


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load()


@pytest.fixture(scope="session")
def stack(settings: Settings) -> Iterator[Stack]:
    """The embedded Kafka and S3, up for the whole test run and gone after it."""
    stack = Stack(settings)
    stack.up(progress=lambda line: print(line, file=sys.stderr))
    yield stack
    stack.down()


@pytest.fixture(scope="session")
def kafka(stack: Stack) -> KafkaConfig:
    return KafkaConfig(f"127.0.0.1:{stack.require('kafka').port}")


@pytest.fixture(scope="session")
def store(stack: Stack) -> ObjectStore:
    return ObjectStore(stack.require("s3").url, access_key="test", secret_key="test")


@pytest.fixture(scope="session")
def airflow_db(settings: Settings) -> None:
    """Airflow's database, as ``make run`` has it."""
    if not (settings.state_dir / "airflow" / "airflow.db").exists():
        subprocess.run(["airflow", "db", "migrate"], check=True, capture_output=True, timeout=300)
