"""The streaming job on real Kafka and S3: what it delivers, and what it says when it cannot."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import titanic_stream
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.topics import ensure_topic
from bigdata.storage import stream as delivered

from ..kafka import secured
from .conftest import RunStream
from .gateway import Gateway, gateway
from .streams import Stream, passenger

pytestmark = pytest.mark.integration

BAD = {
    b"bad": "is not JSON",
    b"": "is not JSON",
    b'{"PassengerId": 1': "is not JSON",
    passenger(1) + b" and more": "is not JSON",
    passenger(1) + passenger(2): "is not JSON",
    passenger(1) + b"," + passenger(2): "is more than one JSON value",
    b"[" + passenger(1) + b"]": "is no JSON object",
    b"null": "is no JSON object",
    b"5": "is no JSON object",
    b"\xff\xfe": "broken UTF-8 at character 1",
    passenger(1, Survived=None): "Survived: is missing",
    b"{}": "PassengerId: is missing",
    passenger(1, PassengerId="1"): 'PassengerId: "1" is not a whole number',
    passenger(1, SibSp=1.5): "SibSp: 1.5 is not a whole number",
    passenger(1, Parch=99999999999): "Parch: 99999999999 is not a whole number",
    passenger(1, Age="old"): 'Age: "old" is not a number',
    passenger(1, Age=True): "Age: true is not a number",
    passenger(1, Age=float("nan")): "is not JSON",
    passenger(1, Fare=1).replace(b'"Fare": 1', b'"Fare": 1e999'): 'Fare: "Infinity" is not a number',
}
GOOD = [
    passenger(1),
    passenger(2, Age=None, Name="Ö'Brien, “Mick”"),
    passenger(3, Age=3, Deck="beyond the columns"),
    b'{"PassengerId": 4, "Survived": 0, "Pclass": 1}',
]


@pytest.fixture
def proxy(stream: Stream, spark: SparkSession, run_stream: RunStream) -> Iterator[Gateway]:
    """A proxy before the stream's bucket, as the job sees it."""
    with gateway(stream.store.endpoint_url) as rules:
        spark._jsc.hadoopConfiguration().set(f"fs.s3a.bucket.{stream.bucket}.endpoint", rules.url)
        yield rules


def test_each_record_is_a_row_or_a_reject_with_its_place_and_reason(stream: Stream, run_stream: RunStream) -> None:
    stream.produce([*GOOD, *BAD, None])

    result = run_stream().result

    assert (result["batches"], result["rows"], result["rejects"]) == (1, len(GOOD), len(BAD) + 1)
    fs = stream.store.filesystem()
    rows = delivered.rows(fs, stream.batches()).to_table().sort_by("PassengerId").to_pylist()
    assert [(row["Age"], row["Name"]) for row in rows] == [
        (34.5, "Kelly, Mr. James"),
        (None, "Ö'Brien, “Mick”"),
        (3.0, "Kelly, Mr. James"),
        (None, None),
    ]
    rejects = delivered.rejects(fs, stream.batches()).to_table().to_pylist()
    assert {row["value"]: row["reason"] for row in rejects} == {**BAD, None: "has no value"}
    assert {row["topic"] for row in rows + rejects} == {stream.topic}
    assert stream.delivered() == stream.there()
    assert sum(stream.delivered().values()) == stream.sent


def test_runs_go_on_where_the_last_one_was_past_aborted_and_around_open_transactions(
    stream: Stream, run_stream: RunStream
) -> None:
    from kafka import KafkaProducer

    stream.passengers(50)
    aborted, still_open = (
        KafkaProducer(transactional_id=f"{stream.topic}.{name}", **stream.kafka.producer_options())
        for name in ("aborted", "open")
    )
    for producer in (aborted, still_open):
        producer.init_transactions()
        producer.begin_transaction()
        for number in range(30):
            producer.send(stream.topic, passenger(number))
        producer.flush()
        if producer is aborted:
            producer.abort_transaction()
            stream.passengers(50)
    stream.passengers(50)

    first = run_stream("--max-offsets-per-trigger=40").result
    assert first["batches"] > 1
    assert 100 <= first["rows"] < 150  # what lies behind the open transaction is not read yet
    still_open.commit_transaction()
    second = run_stream().result
    assert (first["rows"] + second["rows"], second["batches"]) == (180, 1)
    assert run_stream().result["batches"] == 0

    assert stream.delivered() == stream.there()
    ranges = [batch.spans[0] for batch in stream.batches()]
    assert [begin for begin, _ in ranges[1:]] == [end for _, end in ranges[:-1]]
    for producer in (aborted, still_open):
        producer.close()


def test_a_continuous_run_delivers_what_comes_and_ends_by_itself(stream: Stream, run_stream: RunStream) -> None:
    """What comes too late is the next run's."""
    done = threading.Event()

    def send() -> None:
        while not done.wait(0.3):
            stream.passengers(20)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        first = run_stream("--mode=continuous", "--run-seconds=6", "--trigger-seconds=1").result
    finally:
        done.set()
        sender.join()
    assert first["batches"] >= 2
    assert first["rows"] == sum(stream.delivered().values())

    second = run_stream().result
    assert stream.delivered() == stream.there()
    assert first["rows"] + second["rows"] == stream.sent


def test_a_lost_log_or_checkpoint_is_an_error_and_no_gap(stream: Stream, run_stream: RunStream) -> None:
    client = stream.store.client()

    def taken_away(under: str) -> dict[str, bytes]:
        found = {}
        for key in stream.keys(under):
            found[key] = client.get_object(Bucket=stream.bucket, Key=key)["Body"].read()
            client.delete_object(Bucket=stream.bucket, Key=key)
        return found

    stream.passengers(40)
    run_stream("--max-offsets-per-trigger=20")
    before = stream.delivered()
    stream.passengers(40)

    log = taken_away("log/")
    error = run_stream().error
    assert f"checkpoint: is at batch {len(log)}, but delivered are those up to -1" in error
    for key, body in log.items():
        client.put_object(Bucket=stream.bucket, Key=key, Body=body)

    taken_away("checkpoint/")
    error = run_stream().error
    assert "checkpoint: batch 0 ends at " in error
    assert "start with another output" in error
    assert stream.delivered() == before


def test_a_batch_that_another_driver_delivers_meanwhile_is_delivered_once(
    stream: Stream, run_stream: RunStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first entry stays, and the driver that comes second ends."""
    stream.passengers(30)
    write, entry = titanic_stream.write, f"{stream.topic}/log/000000000000.json"

    def overtaken(batch: Any, attempt: Any) -> dict[str, Any]:
        facts = write(batch, attempt)
        theirs = {"format": 1, "batch": 0, "attempt": "theirs", "topic": stream.topic, "from": {}, "to": {}, **facts}
        stream.store.client().put_object(Bucket=stream.bucket, Key=entry, Body=json.dumps(theirs).encode())
        return facts

    monkeypatch.setattr(titanic_stream, "write", overtaken)
    error = run_stream().error
    assert error == f"s3a://{stream.bucket}/{entry}: another driver delivers this stream, too: stop one of them"
    assert (
        json.loads(stream.store.client().get_object(Bucket=stream.bucket, Key=entry)["Body"].read())["attempt"]
        == "theirs"
    )
    assert stream.folders() == set()


def test_an_entry_that_was_written_counts_even_if_the_answer_is_lost(
    stream: Stream, run_stream: RunStream, proxy: Gateway
) -> None:
    stream.passengers(10)
    lost = []

    def lose(method: str, path: str) -> bool:
        lost.append(path) if method == "PUT" and "/log/" in path else None
        return len(lost) == 1 and method == "PUT" and "/log/" in path

    proxy.lose_answer = lose
    assert run_stream().result["rows"] == 10
    assert len(lost) == 2
    assert stream.delivered() == stream.there()


def test_a_log_that_may_not_be_written_leaves_nothing_behind(
    stream: Stream, run_stream: RunStream, proxy: Gateway
) -> None:
    stream.passengers(10)
    proxy.deny = lambda method, path: method == "PUT" and "/log/" in path
    error = run_stream().error
    assert "access denied: check the credentials in the environment and the bucket's policy" in error
    assert (stream.batches(), stream.folders()) == ([], set())

    proxy.deny = lambda method, path: False
    assert run_stream().result["rows"] == 10


def test_a_client_with_a_certificate_needs_no_password(
    stream: Stream, run_stream: RunStream, tmp_path: Path, jars_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brokers = secured.run(tmp_path, jars_dir)
    broker = next(brokers)
    ensure_topic(broker.plain, stream.topic, 2)
    stream.kafka = broker.plain
    stream.passengers(15)
    broker.grant(secured.TLS_USER, stream.topic, "titanic_stream")
    mine = broker.properties("tls")
    stream.kafka = KafkaConfig(mine["bootstrap.servers"])
    for variable, key in (("CA", "ca"), ("CERTIFICATE", "certificate"), ("KEY", "key")):
        monkeypatch.setenv(f"KAFKA_SSL_{variable}", mine[f"ssl.{key}.pem"])
    assert run_stream("--security-protocol=SSL").result["rows"] == 15
    brokers.close()


def test_a_topic_that_does_not_exist(stream: Stream, run_stream: RunStream) -> None:
    stream.topic = "test.stream.none"
    error = run_stream().error
    assert error.startswith(
        f"topic test.stream.none at {stream.kafka.bootstrap_servers}: the topic does not exist, or this user may not"
    )


def test_records_that_are_gone_before_they_were_read_end_the_job(stream: Stream, run_stream: RunStream) -> None:
    from kafka import KafkaAdminClient, TopicPartition

    stream.topic += ".one"
    ensure_topic(stream.kafka, stream.topic, 1)
    stream.passengers(10)
    assert run_stream().result["rows"] == 10
    stream.passengers(10)
    admin = KafkaAdminClient(**stream.kafka.client_options())
    admin.delete_records({TopicPartition(stream.topic, 0): 15})
    admin.close()

    error = run_stream().error
    assert f"topic {stream.topic} at " in error
    assert "records are gone that were not read yet: start with another output" in error
    assert sum(stream.delivered().values()) == 10
