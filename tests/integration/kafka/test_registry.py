"""Avro by a real schema registry: what is registered, how schemas evolve, and what is said when they cannot."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bigdata import settings
from bigdata.errors import ConfigError, StackError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.produce import produce
from bigdata.kafka.records import BadRecord, Record
from bigdata.kafka.registry import RegistryAvro
from bigdata.kafka.topics import ensure_topic
from bigdata.local.ports import HOST
from bigdata.operators.kafka_consume import KafkaConsumeOperator
from bigdata.operators.kafka_produce import KafkaProduceOperator

from ..conftest import ROOT
from ..operators.jobs import FakeTask
from . import apicurio
from .records import Topic

pytestmark = pytest.mark.integration

FIRST = {"type": "record", "name": "Row", "fields": [{"name": "n", "type": "int"}]}
SECOND = {**FIRST, "fields": [*FIRST["fields"], {"name": "text", "type": "string", "default": "none"}]}
OTHER = {**FIRST, "fields": [{"name": "n", "type": "string"}]}


@pytest.fixture(scope="module")
def url(jars_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = apicurio.fetch(jars_dir, settings.from_environment(ROOT, {}).ivy_settings)
    with apicurio.registry(program, tmp_path_factory.mktemp("registry") / "log") as found:
        yield found


def put(url: str, path: str, body: dict[str, Any]) -> None:
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url + path, data, headers, method="PUT"), timeout=10).close()


def get(url: str, path: str) -> Any:
    with urllib.request.urlopen(url + path, timeout=10) as answer:
        return json.loads(answer.read())


def format_of(url: str, topic: Topic, schema: Any = None) -> RegistryAvro:
    return RegistryAvro({"schema.registry.url": url}, f"{topic.name}-value", schema)


@pytest.fixture
def by_connection(kafka: KafkaConfig, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"bootstrap.servers": kafka.bootstrap_servers, "schema.registry.url": url}
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_TEST", json.dumps({"conn_type": "bigdata_kafka", "extra": extra}))


def run(kind: type, topic: Topic, **arguments: Any) -> Any:
    task = FakeTask(dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1, pushed={})
    operator = kind(task_id="t", topic=topic.name, kafka_conn_id="kafka_test", value_format="avro", **arguments)
    return operator.execute({"ti": task, "run_id": "r"})


@pytest.mark.usefixtures("by_connection")
def test_operators_write_and_read_by_the_registry(topic: Topic, url: str) -> None:
    rows = [{"n": n} for n in range(100)]
    assert run(KafkaProduceOperator, topic, source=rows, schema=FIRST)["sent"] == 100
    found = get(url, f"/subjects/{topic.name}-value/versions/1")
    assert json.loads(found["schema"]) == FIRST
    (first,) = {record.value[:5] for record in topic.read()}
    assert first == b"\0" + found["id"].to_bytes(4, "big")  # as the clients of other languages expect it

    got: list[Any] = []
    done = run(KafkaConsumeOperator, topic, group=topic.name, handler=lambda record: got.append(record.value))
    assert done["count"] == 100
    assert sorted(value["n"] for value in got) == list(range(100))


@pytest.mark.usefixtures("by_connection")
def test_what_is_made_exactly_once_has_the_schema_of_its_own_topic(
    topic: Topic, make_topic: Callable[..., Topic], url: str
) -> None:
    output = make_topic()
    run(KafkaProduceOperator, topic, source=[{"n": n} for n in range(10)], schema=FIRST)

    def handler(record: Record) -> Record:
        return record._replace(value={"n": str(record.value["n"])})

    options = {"exactly_once": True, "output_format": "avro", "output_schema": OTHER}
    done = run(KafkaConsumeOperator, topic, group=topic.name, handler=handler, output_topic=output.name, **options)
    assert done["produced"] == 10
    assert json.loads(get(url, f"/subjects/{output.name}-value/versions/latest")["schema"]) == OTHER
    assert get(url, f"/subjects/{topic.name}-value/versions") == [1]


def test_a_schema_that_has_evolved_reads_what_is_old_and_is_read_by_who_knows_the_old(topic: Topic, url: str) -> None:
    put(url, f"/config/{topic.name}-value", {"compatibility": "BACKWARD"})
    old, new = format_of(url, topic, FIRST), format_of(url, topic, SECOND)
    written = [old.encode({"n": 1}), new.encode({"n": 2, "text": "two"})]
    assert get(url, f"/subjects/{topic.name}-value/versions") == [1, 2]

    def read(reader: RegistryAvro) -> list[Any]:
        return [reader.decode(Record(None, value)) for value in written]

    assert read(new) == [{"n": 1, "text": "none"}, {"n": 2, "text": "two"}]
    assert read(old) == [{"n": 1}, {"n": 2}]
    assert read(format_of(url, topic)) == [{"n": 1}, {"n": 2, "text": "two"}]  # each as it was written

    with pytest.raises(ConfigError, match=rf"refuses the schema of {topic.name}-value"):
        format_of(url, topic, OTHER).encode({"n": "three"})


def test_a_writer_needs_a_schema(topic: Topic, url: str) -> None:
    with pytest.raises(ConfigError, match=f"{topic.name}-value: writing needs a schema"):
        format_of(url, topic).encode({"n": 1})


def test_records_that_no_schema_fits_go_to_the_dead_letters(topic: Topic, kafka: KafkaConfig, url: str) -> None:
    dead = f"{topic.name}.dead"
    ensure_topic(kafka, dead, 1)
    avro = format_of(url, topic, FIRST)
    good = avro.encode({"n": 1})
    assert good is not None
    values = [good, b"\0\x7f\xff\xff\xff\x02", b'{"n": 1}', b"", good[:5], None]
    produce(kafka, topic.name, [Record(b"k", value) for value in values], "d")
    got: list[Any] = []
    done = consume(
        kafka, topic.name, "g", lambda record: got.append(record.value), decode=avro.decode, dead_letter_topic=dead
    )
    assert (done.count, done.dead) == (6, 4)
    assert sorted(got, key=str) == [None, {"n": 1}]
    reasons = sorted(dict(record.headers)["dead_letter.reason"].decode() for record in Topic(kafka, dead).read())
    assert [reason for reason in reasons if "written with schema 2147483647, which" in reason]
    assert len([reason for reason in reasons if "not written with a schema registry" in reason]) == 2
    assert [reason for reason in reasons if "Avro" in reason]


def test_a_registry_that_is_away_is_no_fault_of_the_record(topic: Topic) -> None:
    away = format_of(f"http://{HOST}:9", topic, FIRST)
    for call in (lambda: away.encode({"n": 1}), lambda: away.decode(Record(None, b"\0\0\0\0\1\2"))):
        with pytest.raises(StackError, match="does not answer") as caught:
            call()
        assert not isinstance(caught.value, BadRecord)


def test_user_and_password_are_sent_and_not_told(topic: Topic, url: str) -> None:
    """The registry behind a gate, as a managed one is."""
    wanted = "Basic " + base64.b64encode(b"key:only-for-this-test").decode()

    class Gate(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            is_in = self.headers["Authorization"] == wanted
            data = self.rfile.read(int(self.headers["Content-Length"]))
            status, body = 401, b'{"error_code": 401, "message": "Unauthorized"}'
            if is_in:
                headers = {"Content-Type": self.headers["Content-Type"]}
                try:
                    answer = urllib.request.urlopen(urllib.request.Request(url + self.path, data, headers), timeout=10)
                except urllib.error.HTTPError as error:  # that there is none yet
                    answer = error
                with answer:
                    status, body = answer.status, answer.read()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Gate)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        options = {"schema.registry.url": f"http://{HOST}:{server.server_address[1]}"}
        login = "schema.registry.basic.auth.user.info"
        subject = f"{topic.name}-value"
        assert RegistryAvro({**options, login: "key:only-for-this-test"}, subject, FIRST).encode({"n": 1})
        with pytest.raises(StackError, match=r"lets nobody in .* \(401\)") as caught:
            RegistryAvro({**options, login: "key:another-secret"}, subject, FIRST).encode({"n": 1})
        assert "another-secret" not in str(caught.value)
    finally:
        server.shutdown()
        server.server_close()
