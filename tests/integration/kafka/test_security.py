"""TLS, mTLS, SCRAM and PLAIN for real: who may come in does, and who may not is told why in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from bigdata.errors import ConfigError, DeliveryError, StackError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.produce import produce
from bigdata.kafka.records import Record
from bigdata.kafka.topics import describe_topic, ensure_topic
from bigdata.kafka.transform import transform
from bigdata.local.ports import HOST

from .records import numbers, records
from .secured import PLAIN_USER, SCRAM_PASSWORD, SCRAM_USER, TLS_USER, Authority, Secured, run

pytestmark = pytest.mark.integration

USERS = {"tls": TLS_USER, "external": SCRAM_USER, "sasl": PLAIN_USER}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, jars_dir: Path) -> Iterator[Secured]:
    yield from run(tmp_path_factory.mktemp("secured"), jars_dir)


@pytest.fixture
def topic(secured: Secured) -> str:
    name = f"test.{uuid4().hex[:8]}"
    ensure_topic(secured.plain, name, 2)
    return name


@pytest.mark.parametrize("listener", USERS)
@pytest.mark.parametrize("as_files", [False, True], ids=["texts", "files"])
def test_a_user_with_rights_moves_data_exactly_once(
    secured: Secured, topic: str, listener: str, as_files: bool
) -> None:
    output = f"{topic}.out"
    ensure_topic(secured.plain, output, 2)
    secured.grant(USERS[listener], topic, "test.group", "bigdata.test.")
    secured.grant(USERS[listener], group="bigdata.test.")  # where a transaction's receipt is kept
    properties = secured.properties(listener)
    client = KafkaConfig.from_properties("test", secured.as_files(properties) if as_files else properties)
    sent = produce(client, topic, records(500), "d", transactional_id=f"bigdata.test.{topic}")
    assert sent.sent == 500
    done = transform(
        client,
        topic,
        "test.group",
        lambda record: Record(record.key, record.value),
        output,
        f"bigdata.test.{output}",
        member=f"member.{topic}",
    )
    assert done.produced == 500
    keys: list[bytes | None] = []
    consume(secured.plain, output, uuid4().hex, lambda record: keys.append(record.key), {})
    assert sorted(keys) == sorted(numbers(500))  # type: ignore[type-var]


# A broker that refuses a user says why, or just hangs up.
WRONG = {
    "wrong password": (
        "external",
        {"sasl.password": "wrong"},
        "user 'bob' in: .*Authentication|whether the user, password",
    ),
    "unknown user": ("external", {"sasl.username": "mallory"}, "user 'mallory' in: |whether the user, password"),
    "wrong password, PLAIN": ("sasl", {"sasl.password": "wrong"}, "user 'carol' in: |whether the user, password"),
    "wrong mechanism": ("external", {"sasl.mechanism": "PLAIN"}, "sasl.mechanism"),
    "wrong CA": ("tls", {"ssl.ca.pem": ""}, "(certificate|CERTIFICATE).*verify failed.*Check the address"),
    "no TLS where TLS is": ("external", {"security.protocol": "SASL_PLAINTEXT"}, "no broker answers"),
}


@pytest.mark.parametrize("what", WRONG)
def test_who_may_not_come_in_is_told_why(
    secured: Secured, topic: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bigdata.kafka.config.CONNECT_TIMEOUT_MS", 4_000)  # the client tries again for so long
    listener, changes, message = WRONG[what]
    properties = secured.properties(listener) | changes
    if what == "wrong CA":
        properties["ssl.ca.pem"] = Authority("other").pem
    if properties["security.protocol"] == "SASL_PLAINTEXT":
        properties.pop("ssl.ca.pem", None)
    with pytest.raises(StackError, match=message) as error:
        produce(KafkaConfig.from_properties("test", properties), topic, records(1), "d")
    assert "\n" not in str(error.value)
    assert SCRAM_PASSWORD not in str(error.value)


@pytest.mark.parametrize("as_files", [False, True])
def test_a_certificate_for_another_host_name(
    secured: Secured, topic: str, as_files: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The brokers' is for 127.0.0.1; who asks for ``localhost`` is refused, unless names are not to be checked."""
    monkeypatch.setattr("bigdata.kafka.config.CONNECT_TIMEOUT_MS", 4_000)
    properties = secured.properties("tls")
    properties = secured.as_files(properties) if as_files else properties
    properties["bootstrap.servers"] = properties["bootstrap.servers"].replace(HOST, "localhost")
    with pytest.raises(StackError, match="certificate is not valid for 'localhost'|Hostname mismatch"):
        describe_topic(KafkaConfig.from_properties("test", properties), topic)
    unchecked = properties | {"ssl.endpoint.identification.algorithm": "none"}
    with pytest.raises(StackError, match="The user lacks an ACL"):  # it is let in
        describe_topic(KafkaConfig.from_properties("test", unchecked), topic)


@pytest.mark.parametrize("between", ["", " "])
def test_texts_that_a_form_has_made_one_line_of_are_taken(secured: Secured, topic: str, between: str) -> None:
    properties = secured.properties("tls")
    properties |= {name: text.replace("\n", between) for name, text in properties.items() if name.endswith(".pem")}
    with pytest.raises(StackError, match="The user lacks an ACL"):  # it is let in
        describe_topic(KafkaConfig.from_properties("test", properties), topic)


def test_a_client_without_a_certificate_does_not_come_in_by_mtls(secured: Secured, topic: str) -> None:
    properties = secured.properties("tls")
    properties = {key: value for key, value in properties.items() if key not in ("ssl.certificate.pem", "ssl.key.pem")}
    with pytest.raises(StackError, match="no broker answers at"):
        produce(KafkaConfig.from_properties("test", properties), topic, records(1), "d")


@pytest.mark.parametrize(
    ("granted", "message"),
    [
        ({}, "does not exist, or this user may not see it|TopicAuthorization"),
        ({"topic": True}, "TransactionalIdAuthorization|not allowed"),
        ({"topic": True, "transactional_id": True}, "GroupAuthorization|not allowed"),
    ],
    ids=["no topic", "no transactional id", "no group"],
)
def test_a_missing_acl_is_named_and_nothing_is_written(
    secured: Secured, topic: str, granted: dict[str, bool], message: str
) -> None:
    """Each test has a prefix of its own, so that no other test's rights help."""
    mine = f"acl.{topic}"
    ensure_topic(secured.plain, mine, 1)
    secured.grant(SCRAM_USER, **dict.fromkeys(granted, mine))
    client = KafkaConfig.from_properties("test", secured.properties("external"))
    with pytest.raises((StackError, DeliveryError), match=message):
        produce(client, mine, records(5), "d", transactional_id=f"{mine}.tx")
    found: list[Record] = []
    consume(secured.plain, mine, uuid4().hex, found.append, {})
    assert found == []


def test_a_group_that_is_not_allowed_is_told(secured: Secured, topic: str) -> None:
    secured.grant(SCRAM_USER, topic)
    produce(secured.plain, topic, records(5), "d")
    client = KafkaConfig.from_properties("test", secured.properties("external"))
    with pytest.raises((StackError, DeliveryError), match="GroupAuthorization"):
        consume(client, topic, f"not.allowed.{topic}", print, stall_timeout=10)


def test_a_key_that_is_not_the_certificate_s_is_told(secured: Secured) -> None:
    properties = secured.properties("tls") | {"ssl.key.pem": secured.service.authority.sign("other")[1]}
    with pytest.raises(ConfigError, match="a certificate or key cannot be used"):
        KafkaConfig.from_properties("test", properties).client_options()
