"""A stream of one test: a topic, a bucket, drivers that may be killed, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.produce import produce
from bigdata.kafka.records import Record
from bigdata.storage import stream
from bigdata.storage.objects import ObjectStore
from bigdata.storage.stream import Batch

from ..kafka.records import Topic

JOBS = Path(__file__).parents[3] / "spark_jobs"

# Runs the real job. At the n-th call of one of its steps the driver dies, JVM first, as by kill -9 of a pod.
DYING = """
import os, signal, sys
import psutil
sys.path.insert(0, sys.argv.pop(1))
owner, _, step = sys.argv.pop(1).rpartition(".")
left = int(sys.argv.pop(1))
import batch_log, titanic_stream
real = getattr(eval(owner), step)

def door(*args):
    global left
    left -= 1
    if left == 0:
        for process in psutil.Process().children(recursive=True):
            process.kill()
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args)

setattr(eval(owner), step, door)
sys.exit(titanic_stream.main())
"""


def passenger(number: int, **changes: object) -> bytes:
    """A passenger as titanic_etl sends one."""
    row = {"PassengerId": number, "Survived": number % 2, "Pclass": 3, "Name": "Kelly, Mr. James", "Sex": "male"}
    return json.dumps(row | {"Age": 34.5, "Fare": 7.8292, "Cabin": None} | changes).encode()


@dataclass
class Stream:
    """A topic and what becomes of it.

    :param jars: of S3A and Kafka.
    :param hadoop: the manifest's hadoopConf.
    """

    kafka: KafkaConfig
    store: ObjectStore
    bucket: str
    jars: Sequence[Path]
    hadoop: dict[str, str]
    topic: str = field(default_factory=lambda: f"test.stream.{uuid4().hex[:8]}")
    sent: int = 0

    @property
    def base(self) -> str:
        """As pyarrow names the folder."""
        return f"{self.bucket}/{self.topic}"

    def produce(self, values: Iterable[bytes | None]) -> None:
        """Send values in one transaction, keyed by their number."""
        records = [Record(str(number).encode(), value) for number, value in enumerate(values, self.sent)]
        self.sent += len(records)
        produce(self.kafka, self.topic, records, uuid4().hex)

    def passengers(self, count: int) -> None:
        """Send so many passengers."""
        self.produce(passenger(number) for number in range(self.sent, self.sent + count))

    def arguments(self, *more: str) -> list[str]:
        """The job's command line."""
        servers, output = self.kafka.bootstrap_servers, f"s3a://{self.base}"
        return [f"--bootstrap-servers={servers}", f"--topic={self.topic}", f"--output={output}", *more]

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a driver of its own process, in a group of its own: a program and its arguments before the job's."""
        environ = {key: value for key, value in os.environ.items() if key != "SPARK_HOME"}
        conf = {
            "spark.driver.extraClassPath": ":".join(map(str, self.jars)),
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # quick to start
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.ui.enabled": "false",
            **{f"spark.hadoop.{key}": value.replace("\n", "") for key, value in self.hadoop.items() if value},
            "spark.hadoop.fs.s3a.endpoint": self.store.endpoint_url,
        }
        options = " ".join(f"--conf '{key}={value}'" for key, value in conf.items())
        environ |= {
            "PYSPARK_SUBMIT_ARGS": f"--master local[2] --driver-memory 1g {options} pyspark-shell",
            "PYSPARK_PYTHON": sys.executable,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        return subprocess.Popen(
            [sys.executable, *command],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def job(self, *more: str) -> subprocess.Popen[str]:
        """Start the job as it is."""
        return self.start(str(JOBS / "titanic_stream.py"), *self.arguments(*more))

    def dies(self, step: str, *more: str, call: int = 1) -> str:
        """Run the job up to the n-th call of a step, at which it must die; gives its output."""
        process = self.start("-c", DYING, str(JOBS), step, str(call), *self.arguments(*more))
        out, err = process.communicate(timeout=300)
        assert process.returncode == -9, out + err
        return out

    def batches(self) -> list[Batch]:
        """What readers see as delivered."""
        return stream.delivered(self.store.filesystem(), self.base)

    def delivered(self) -> Counter[tuple[int, int]]:
        """Partition and offset of each record delivered, and how often."""
        fs, found = self.store.filesystem(), Counter[tuple[int, int]]()
        for dataset in (stream.rows, stream.rejects):
            batches = [batch for batch in self.batches() if batch.rows_files or batch.rejects_files]
            table = dataset(fs, batches).to_table()
            if table.num_rows:
                found.update(zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True))
        return found

    def there(self) -> Counter[tuple[int, int]]:
        """The same of the records in the topic."""
        return Counter((record.partition, record.offset) for record in Topic(self.kafka, self.topic).read())

    def keys(self, under: str = "") -> list[str]:
        """All objects of the stream; folder markers are none."""
        prefix = f"{self.topic}/{under}"
        pages = self.store.client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")]

    def folders(self) -> set[str]:
        """The folders of attempts."""
        return {key.removeprefix(f"{self.topic}/batches/").partition("/")[0] for key in self.keys("batches/")}
