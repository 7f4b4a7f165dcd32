"""The streaming job's command line, its Kafka options and its manifest, rendered as Airflow renders it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from bigdata.spark.manifest.loading import load
from hadoop import JobError
from kafka_source import security_options
from titanic_stream import parse_args

MANIFEST = Path(__file__).parents[3] / "spark_jobs" / "titanic_stream.yaml"
NEEDED = ["--bootstrap-servers=b:9092", "--topic=t", "--output=s3a://curated/t"]
PARAMS = {
    "topic": "titanic.passengers",
    "curated_bucket": "curated",
    "mode": "continuous",
    "run_seconds": 60,
    "trigger_seconds": 5,
    "max_offsets_per_trigger": 500,
}
PLAIN = {
    "bootstrap_servers": "b-1:9092,b-2:9092",
    "security_protocol": "PLAINTEXT",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_username": "",
    "secrets": {},
}
SCRAM = PLAIN | {
    "security_protocol": "SASL_SSL",
    "sasl_username": "streamer",
    "secrets": {
        "KAFKA_SASL_PASSWORD": {"name": "streamer", "key": "password"},
        "KAFKA_SSL_CA": {"name": "kafka-cluster-ca-cert", "key": "ca.crt"},
    },
}
AWS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def rendered(prepared: dict[str, Any], login: str | None = "key") -> dict[str, Any]:
    context = {
        "params": PARAMS,
        "run_id": "manual__2026-11-26T07:05:00+00:00",
        "conn": SimpleNamespace(aws_default=SimpleNamespace(extra_dejson={}, login=login)),
        "ti": SimpleNamespace(xcom_pull=lambda task_ids: {"prepare": prepared}[task_ids]),
    }
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    return load(environment.from_string(MANIFEST.read_text()).render(context)).to_dict()["spec"]


def test_the_manifests_arguments_are_those_of_the_job() -> None:
    args = parse_args(rendered(PLAIN)["arguments"])
    assert (args.bootstrap_servers, args.topic) == ("b-1:9092,b-2:9092", "titanic.passengers")
    assert args.output == "s3a://curated/titanic_stream/titanic.passengers"
    assert (args.mode, args.run_seconds, args.trigger_seconds) == ("continuous", 60, 5)
    assert (args.max_offsets_per_trigger, args.run) == (500, "manual__2026-11-26T07:05:00+00:00")
    assert (args.security_protocol, args.sasl_username) == ("PLAINTEXT", "")


def test_passwords_come_from_secrets_and_executors_have_none_of_kafkas() -> None:
    spec = rendered(SCRAM)
    refs = spec["driver"]["envSecretKeyRefs"]
    assert set(refs) == AWS | {"KAFKA_SASL_PASSWORD", "KAFKA_SSL_CA"}
    assert refs["KAFKA_SASL_PASSWORD"] == {"name": "streamer", "key": "password"}
    assert set(spec["executor"]["envSecretKeyRefs"]) == AWS
    assert parse_args(spec["arguments"]).security_protocol == "SASL_SSL"


@pytest.mark.parametrize(("prepared", "kafkas"), [(PLAIN, set()), (SCRAM, {"KAFKA_SASL_PASSWORD", "KAFKA_SSL_CA"})])
def test_without_keys_for_s3_the_pods_have_their_role(prepared: dict[str, Any], kafkas: set[str]) -> None:
    spec = rendered(prepared, login=None)
    assert set(spec["driver"].get("envSecretKeyRefs", {})) == kafkas
    assert "envSecretKeyRefs" not in spec["executor"]


def test_defaults_read_what_is_there() -> None:
    args = parse_args(NEEDED)
    assert (args.mode, args.max_offsets_per_trigger) == ("available-now", 100_000)


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (["--topic="], "argument --topic: '' is no name of a topic"),
        (["--topic=.."], "argument --topic: '..' is no name of a topic"),
        (["--run-seconds=0"], "argument --run-seconds: '0' is not a whole number above 0"),
        (["--max-offsets-per-trigger=1.5"], "argument --max-offsets-per-trigger: '1.5' is not a whole number above 0"),
        (["--mode=once"], "argument --mode: invalid choice: 'once'"),
        (["--sasl-mechanism=GSSAPI"], "argument --sasl-mechanism: invalid choice: 'GSSAPI'"),
    ],
)
def test_a_mistake_is_named(extra: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_args([*NEEDED, *extra])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err.splitlines()[-1]


def test_a_password_is_quoted_for_jaas() -> None:
    found = security_options("SASL_SSL", "SCRAM-SHA-512", "me", {"KAFKA_SASL_PASSWORD": r'a"b\c;'})
    assert found["kafka.sasl.jaas.config"] == (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        r'username="me" password="a\"b\\c;";'
    )


def test_a_client_certificate_goes_with_its_key() -> None:
    environ = {"KAFKA_SSL_CA": "CA", "KAFKA_SSL_CERTIFICATE": "CRT"}
    with pytest.raises(JobError, match="KAFKA_SSL_KEY is missing in the environment"):
        security_options("SSL", "PLAIN", "", environ)
    assert security_options("SSL", "PLAIN", "", environ | {"KAFKA_SSL_KEY": "KEY"}) == {
        "kafka.security.protocol": "SSL",
        "kafka.ssl.truststore.type": "PEM",
        "kafka.ssl.truststore.certificates": "CA",
        "kafka.ssl.keystore.type": "PEM",
        "kafka.ssl.keystore.certificate.chain": "CRT",
        "kafka.ssl.keystore.key": "KEY",
    }


def test_a_login_without_a_password_is_an_error() -> None:
    with pytest.raises(JobError, match="KAFKA_SASL_PASSWORD is missing"):
        security_options("SASL_PLAINTEXT", "PLAIN", "me", {})
