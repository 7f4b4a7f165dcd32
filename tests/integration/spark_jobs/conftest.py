"""One Spark for all tests of the jobs, which call main() in this process; and what they need to look at a result."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from jinja2 import Template
from pyspark.sql import SparkSession

from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.logs import quiet
from bigdata.kafka.topics import ensure_topic
from bigdata.local.jars import spark_jars
from bigdata.settings import Settings
from bigdata.storage.objects import ObjectStore

from .streams import Stream

JOBS = Path(__file__).parents[3] / "spark_jobs"
sys.path.insert(0, str(JOBS))

import titanic_stream  # noqa: E402
from titanic_etl import main  # noqa: E402

DATA = Path(__file__).parents[3] / "data" / "titanic.csv"
HEADER = DATA.read_text().splitlines()[0]
GOOD = "1;0;3;Braund, Mr. Owen;male;22.0;1;0;A/5 21171;7.25;;S"


def hadoop_conf() -> dict[str, str]:
    """What the manifest sets, with no endpoint: tests set one for each bucket."""
    connection = SimpleNamespace(aws_default=SimpleNamespace(extra_dejson={}, login=None))
    rendered = Template((JOBS / "titanic_etl.yaml").read_text()).render(conn=connection, params={})
    return dict(yaml.safe_load(rendered)["spec"]["hadoopConf"])


@pytest.fixture(scope="session")
def spark(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Spark with S3A, as the image and the laptop have it; credentials come from the environment of its JVM."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.delenv("SPARK_HOME", raising=False)
        builder = SparkSession.builder.master("local[2]").appName("tests")
        for key, value in {
            "spark.jars": ",".join(map(str, spark_jars(settings))),
            "spark.driver.memory": "1g",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
            **{f"spark.hadoop.{key}": value for key, value in hadoop_conf().items()},
            "spark.hadoop.fs.s3a.retry.interval": "50ms",
        }.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
    yield session
    session.stop()


@dataclass
class Outcome:
    """What a run of the job said and did."""

    status: int
    out: list[str]
    err: list[str]

    @property
    def result(self) -> dict[str, Any]:
        assert self.status == 0, self.err
        word, _, text = self.out[-1].partition(" ")
        assert word == "RESULT"
        return dict(json.loads(text))

    @property
    def error(self) -> str:
        """The one line that tells what is wrong; there is no Python traceback before it."""
        assert self.status == 1, self.out
        assert not [line for line in self.err if line.startswith("Traceback")], self.err
        assert [line for line in self.err if line.startswith("JobError: ")] == self.err[-1:]
        return self.err[-1].removeprefix("JobError: ")


Run = Callable[..., Outcome]
RunStream = Callable[..., Outcome]


@pytest.fixture
def run(spark: SparkSession, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the job: run(input, output, more arguments...)."""

    def run(source: Path | str, output: Path | str, *more: str) -> Outcome:
        capfd.readouterr()
        status = main([f"--input={_uri(source)}", f"--output={_uri(output)}", *more], spark)
        captured = capfd.readouterr()
        return Outcome(status, captured.out.splitlines(), captured.err.splitlines())

    return run


def _uri(path: Path | str) -> str:
    return f"file:{path}" if isinstance(path, Path) else path


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., Path]:
    """Write a CSV of the header and these lines."""

    def write(*lines: str | bytes, name: str = "in.csv", newline: bytes = b"\n", header: str = HEADER) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        raw = [line.encode() if isinstance(line, str) else line for line in (header, *lines)]
        path.write_bytes(newline.join([*raw, b""]))
        return path

    return write


@pytest.fixture
def stream(settings: Settings, kafka: KafkaConfig, store: ObjectStore) -> Stream:
    """A topic of three partitions and a bucket, both of this test alone."""
    quiet()
    bucket = f"stream-{uuid.uuid4().hex[:8]}"
    store.client().create_bucket(Bucket=bucket)
    made = Stream(kafka, store, bucket, spark_jars(settings), hadoop_conf())
    ensure_topic(kafka, made.topic, 3)
    return made


@pytest.fixture
def run_stream(spark: SparkSession, stream: Stream, capfd: pytest.CaptureFixture[str]) -> RunStream:
    """Run the streaming job on the test's stream: run_stream(more arguments...)."""
    endpoint = f"fs.s3a.bucket.{stream.bucket}.endpoint"
    spark._jsc.hadoopConfiguration().set(endpoint, stream.store.endpoint_url)

    def run(*more: str) -> Outcome:
        capfd.readouterr()
        status = titanic_stream.main(stream.arguments(*more), spark)
        captured = capfd.readouterr()
        return Outcome(status, captured.out.splitlines(), captured.err.splitlines())

    return run


def files(folder: Path) -> list[str]:
    """All files of a published folder that a reader could see, checksum files left out."""
    found = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in found if not Path(name).name.startswith("."))


def tree_kill(pid: int) -> None:
    """End a process and all that it started, at once and with no chance to clean up."""
    import psutil

    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
