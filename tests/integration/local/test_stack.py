"""The embedded stack, with its real services: started, used, broken, healed, stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import psutil
import pytest
from botocore.config import Config
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from bigdata.errors import StackError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.topics import ensure_topic
from bigdata.local import ports, record
from bigdata.local.launch import record_path
from bigdata.local.record import State
from bigdata.local.stack import Stack
from bigdata.settings import Settings

from ..processes import running, sessions

pytestmark = pytest.mark.integration

Make = Callable[..., Stack]


def s3(stack: Stack):
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
    return boto3.client(
        "s3",
        endpoint_url=stack.require("s3").url,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        region_name="us-east-1",
        config=config,
    )


def produce(stack: Stack, topic: str, value: bytes) -> None:
    ensure_topic(KafkaConfig(stack.require("kafka").url), topic, 1)
    producer = KafkaProducer(bootstrap_servers=stack.require("kafka").url, acks="all")
    producer.send(topic, value).get(timeout=30)
    producer.close()


def consume(stack: Stack, topic: str) -> list[bytes]:
    partition = TopicPartition(topic, 0)
    consumer = KafkaConsumer(bootstrap_servers=stack.require("kafka").url, auto_offset_reset="earliest")
    consumer.assign([partition])
    end = consumer.end_offsets([partition])[partition]
    found: list[bytes] = []
    while len(found) < end:
        for records in consumer.poll(timeout_ms=1000).values():
            found += [item.value for item in records]
    consumer.close()
    return found


def test_the_life_of_a_stack(own_stack: Make, own_settings: Settings):
    stack = own_stack()
    told: list[str] = []
    kafka, store = stack.up(progress=told.append)
    assert (kafka.state, store.state) == (State.UP, State.UP)
    assert any(line.startswith("kafka: up at 127.0.0.1:") for line in told)

    # Both are reachable from this machine only.
    for status in (kafka, store):
        listening = [item for item in psutil.Process(status.pid).net_connections("tcp") if item.status == "LISTEN"]
        assert {item.laddr.ip.removeprefix("::ffff:") for item in listening} == {"127.0.0.1"}

    # A second up does nothing, and that fast.
    begun = time.monotonic()
    assert [item.pid for item in stack.up(progress=pytest.fail)] == [kafka.pid, store.pid]
    assert time.monotonic() - begun < 0.7

    produce(stack, "lines", b"first")
    client = s3(stack)
    client.create_bucket(Bucket="raw")
    client.put_object(Bucket="raw", Key="a b/ü=1.txt", Body=b"hello")
    parts = os.urandom(1 << 20) * 20
    (own_settings.state_dir / "big").write_bytes(parts)
    client.upload_file(str(own_settings.state_dir / "big"), "raw", "big")  # several parts, as it is over 8 MB
    assert client.head_object(Bucket="raw", Key="big")["ETag"].strip('"').endswith("-3")

    stack.down()
    assert running(own_settings) == []
    assert sessions([kafka.pid, store.pid]) == []
    assert [item.state for item in stack.status()] == [State.DOWN, State.DOWN]
    stack.down(progress=pytest.fail)
    with pytest.raises(StackError, match="kafka: is down. run: bigdata local up"):
        stack.require("kafka")

    # Data and ports are as before.
    again = stack.up()
    assert [item.port for item in again] == [kafka.port, store.port]
    assert consume(stack, "lines") == [b"first"]
    client = s3(stack)
    assert client.get_object(Bucket="raw", Key="a b/ü=1.txt")["Body"].read() == b"hello"
    assert client.get_object(Bucket="raw", Key="big")["Body"].read() == parts


def test_a_killed_broker_and_a_hung_store_are_noticed_and_healed(own_stack: Make, own_settings: Settings):
    stack = own_stack(patience=1.0)
    kafka, store = stack.up()
    produce(stack, "lines", b"before")
    s3(stack).create_bucket(Bucket="raw")
    os.kill(kafka.pid, signal.SIGKILL)
    os.kill(store.pid, signal.SIGSTOP)
    psutil.wait_procs([psutil.Process(kafka.pid)], timeout=10)
    assert [item.state for item in stack.status()] == [State.DEAD, State.SILENT]
    with pytest.raises(StackError, match="s3: is not answering"):
        stack.require("s3")

    told: list[str] = []
    healed = stack.up(progress=told.append)
    assert f"kafka: restarting: it was killed (pid {kafka.pid} is gone)" in told
    assert f"s3: restarting: it does not answer on port {store.port}" in told
    assert [item.state for item in healed] == [State.UP, State.UP]
    assert consume(stack, "lines") == [b"before"]
    assert [bucket["Name"] for bucket in s3(stack).list_buckets()["Buckets"]] == ["raw"]
    assert {item.pid for item in running(own_settings)} == {item.pid for item in healed}


def test_a_pid_that_belongs_to_a_stranger_now_is_neither_believed_nor_killed(own_stack: Make, own_settings: Settings):
    stack = own_stack()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as stranger:
        stale = record.Record(port=19092, inner_port=19093, version="4.3.1", pid=stranger.pid, created=1.0, since=1.0)
        record.save(record_path(own_settings.state_dir, "kafka"), stale)
        assert stack.status()[0].state is State.DEAD
        stack.down()
        assert stranger.poll() is None
        record.save(record_path(own_settings.state_dir, "kafka"), stale)
        (kafka,) = stack.up(["kafka"])
        assert kafka.state is State.UP
        assert kafka.pid != stranger.pid
        assert stranger.poll() is None
        stranger.kill()


def test_ports_in_use(own_stack: Make, own_settings: Settings):
    stack = own_stack()
    (first,) = stack.up(["s3"])
    stack.down()
    with socket.create_server((ports.HOST, first.port)):
        # One that was chosen is chosen anew, and the connection follows.
        (moved,) = stack.up(["s3"])
        assert moved.port != first.port
        connections = json.loads((own_settings.state_dir / "connections.json").read_text())
        assert connections["aws_default"]["extra"]["endpoint_url"] == moved.url
        # One that is configured is an error that names who has it; what runs is not kept on another port.
        with pytest.raises(StackError) as caught:
            own_stack(s3_port=first.port).up(["s3"])
        assert f"the configured port {first.port} is taken by" in str(caught.value)
        assert f"(pid {os.getpid()})" in str(caught.value)
        assert "[bigdata] s3_port" in caught.value.hint
    # Freed, it is taken.
    (there,) = own_stack(s3_port=first.port).up(["s3"])
    assert there.port == first.port
    assert len(running(own_settings)) == 1


def test_a_port_lost_between_choosing_and_listening_is_replaced(own_stack: Make, monkeypatch: pytest.MonkeyPatch):
    """Nobody can be made to take it just then, so the choice is made to be wrong."""
    with socket.create_server((ports.HOST, 0)) as server:
        taken = server.getsockname()[1]
        choose, wrong = ports.free_port, [taken]
        monkeypatch.setattr(ports, "free_port", lambda *known: wrong.pop() if wrong else choose(*known))
        (kafka,) = own_stack().up(["kafka"])
    assert wrong == []
    assert kafka.port != taken


def test_a_service_that_cannot_start_shows_the_end_of_its_log(own_stack: Make, own_settings: Settings):
    stack = own_stack()
    data = own_settings.state_dir / "data" / "kafka"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\nnode.id=77\ncluster.id=other\n")
    with pytest.raises(StackError, match="kafka: ended with code 1 while starting; the end of its log") as caught:
        stack.up(["kafka"])
    assert "77" in str(caught.value)
    assert running(own_settings) == []


def test_a_half_formatted_data_folder_is_made_anew_and_one_with_topics_is_named(
    own_stack: Make, own_settings: Settings
):
    stack = own_stack()
    data = own_settings.state_dir / "data" / "kafka"
    (data / "__cluster_metadata-0").mkdir(parents=True)
    (data / "bootstrap.checkpoint").write_text("half")
    stack.up(["kafka"])
    produce(stack, "lines", b"kept")
    stack.down()
    (data / "meta.properties").rename(data / "aside")
    with pytest.raises(StackError, match=r"holds topics but meta\.properties is missing"):
        stack.up(["kafka"])
    (data / "aside").rename(data / "meta.properties")
    stack.up(["kafka"])
    assert consume(stack, "lines") == [b"kept"]


def test_a_checkout_that_was_moved_keeps_its_objects(own_stack: Make, own_settings: Settings, tmp_path: Path):
    stack = own_stack()
    stack.up(["s3"])
    s3(stack).create_bucket(Bucket="raw")
    s3(stack).put_object(Bucket="raw", Key="k", Body=b"v")
    stack.down()
    moved = own_settings.state_dir.rename(tmp_path / "moved")
    stack = own_stack(state_dir=moved)
    try:
        stack.up(["s3"])
        assert s3(stack).get_object(Bucket="raw", Key="k")["Body"].read() == b"v"
        s3(stack).put_object(Bucket="raw", Key="k2", Body=b"v")
    finally:
        stack.down()
    assert not own_settings.state_dir.exists()


def test_a_start_without_network_or_with_java_missing(
    own_stack: Make, own_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Any download would fail: Java would go through a proxy that is not there, and Ivy by settings that do not exist.
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=1")
    stack = own_stack(ivy_settings=str(tmp_path / "missing.xml"))
    stack.up(["s3"])
    # What runs needs no Java to be looked at; what is to be started does.
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    stack.up(["s3"], progress=pytest.fail)
    with pytest.raises(StackError, match=r"java: .*\(from JAVA_HOME\) cannot be run.* Install Java 17 or 21"):
        stack.up(["kafka"])


def test_the_history_server_shows_what_ran(own_stack: Make, own_settings: Settings):
    (history,) = own_stack().up(["history"])
    assert history.url.startswith("http://127.0.0.1:")
    assert (own_settings.state_dir / "spark-events").is_dir()
    listening = [item for item in psutil.Process(history.pid).net_connections("tcp") if item.status == "LISTEN"]
    assert {item.laddr.ip.removeprefix("::ffff:") for item in listening} == {"127.0.0.1"}
    assert [item.name for item in own_stack().status()] == ["kafka", "s3", "history"]
