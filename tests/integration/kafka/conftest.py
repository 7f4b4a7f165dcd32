"""Topics of one's own, and programs that are killed in the midst of their work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.logs import quiet
from bigdata.kafka.topics import ensure_topic
from bigdata.local.stack import Stack

from .brokers import Brokers
from .records import Topic

PROGRAM = """
import os, signal
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.outbox import Outbox
from bigdata.kafka.produce import produce
from bigdata.kafka.reader import Reader
from bigdata.kafka.records import Record
from bigdata.kafka.transform import transform

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def records(count):
    return (Record(str(number).encode(), b"{}") for number in range(count))

config = KafkaConfig("%s")
"""


@pytest.fixture(autouse=True)
def quiet_client() -> None:
    quiet()


@pytest.fixture
def three_brokers(own_stack: Callable[..., Stack]) -> Brokers:
    """Three brokers that this test may kill."""
    stack = own_stack(kafka_brokers=3)
    stack.up(["kafka"])
    return Brokers(stack)


@pytest.fixture
def make_topic(kafka: KafkaConfig) -> Callable[..., Topic]:
    """Makes a topic on the embedded broker, with a name of its own."""

    def make(partitions: int = 3) -> Topic:
        name = f"test.{uuid4().hex[:8]}"
        ensure_topic(kafka, name, partitions)
        return Topic(kafka, name)

    return make


@pytest.fixture
def topic(make_topic: Callable[..., Topic]) -> Topic:
    return make_topic()


@pytest.fixture
def killed(kafka: KafkaConfig, tmp_path: Path) -> Callable[[str], str]:
    """Runs a program that must end by SIGKILL; gives its output."""

    def run(program: str, bootstrap: str = kafka.bootstrap_servers) -> str:
        file = tmp_path / "program.py"
        file.write_text(PROGRAM % bootstrap + program)
        done = subprocess.run(
            [sys.executable, str(file)], capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False
        )
        assert done.returncode == -9, done.stdout + done.stderr
        return done.stdout

    return run
