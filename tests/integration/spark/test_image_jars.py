"""The jars that the Spark image adds, by what gathers them for it: Kafka and S3A work with them on real servers."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.topics import ensure_topic
from bigdata.local import ivy
from bigdata.local.stack import Stack
from bigdata.settings import Settings
from bigdata.spark.packages import JMX_EXPORTER_VERSION
from bigdata.storage.objects import ObjectStore, ensure_bucket

from .conftest import Bench, probe

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def image_jars() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_jars", ROOT / "docker" / "spark" / "jars.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def gathered(image_jars: ModuleType, settings: Settings) -> list[Path]:
    folder = settings.state_dir / "jars" / "image"
    jars = image_jars.gather(folder)
    assert image_jars.differences(image_jars.LOCK.read_text(), image_jars.checksums(folder, jars)) == ""
    return jars


def test_they_are_slim_and_none_is_in_pyspark_already(gathered: list[Path]) -> None:
    ours = [jar for jar in gathered if jar.parent.name == "jars"]
    assert sum(jar.stat().st_size for jar in ours) < 30e6
    assert not {jar.name for jar in ours} & {jar.name for jar in ivy.pyspark_jars_dir().glob("*.jar")}
    assert [jar.name for jar in gathered if jar not in ours] == [f"jmx_prometheus_javaagent-{JMX_EXPORTER_VERSION}.jar"]


def test_a_stream_goes_from_kafka_to_s3_and_goes_on_where_it_was(
    bench: Bench, gathered: list[Path], kafka: KafkaConfig, stack: Stack, store: ObjectStore
) -> None:
    topic, bucket = f"test.{uuid4().hex[:8]}", f"test-{uuid4().hex[:8]}"
    ensure_topic(kafka, topic, partitions=1)
    ensure_bucket(store, bucket)
    bench.settings = replace(bench.settings, jars=tuple(jar for jar in gathered if jar.parent.name == "jars"))
    application = probe(
        f"127.0.0.1:{stack.require('kafka').port}",
        topic,
        f"s3a://{bucket}",
        mainApplicationFile="local:///opt/spark/jobs/kafka_to_s3.py",
        hadoopConf={
            "fs.s3a.endpoint": stack.require("s3").url,
            "fs.s3a.endpoint.region": "us-east-1",
            "fs.s3a.path.style.access": "true",
            "fs.s3a.access.key": "test",
            "fs.s3a.secret.key": "test",
        },
    )

    bench.run(application).check("kafka_to_s3")

    assert [line for line in bench.lines if line.startswith("rows:")] == ["rows: 100", "rows: 200"]
    assert bench.said("square of 99:") == "{'9801'}"
