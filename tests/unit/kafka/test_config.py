"""Kafka options by Kafka's own names, without a broker."""

import pytest

from bigdata.errors import ConfigError, StackError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.produce import Receipt, Record, produce
from bigdata.kafka.reconcile import DeliveryError, Reconciliation


def test_options_are_translated() -> None:
    config = KafkaConfig.from_properties(
        "x",
        {
            "bootstrap.servers": "a:1, b:2",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "me",
            "sasl.password": "p",
        },
    )
    options = config.client_options()
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert (options["security_protocol"], options["sasl_plain_username"]) == ("SASL_SSL", "me")


def test_secrets_are_not_shown() -> None:
    config = KafkaConfig.from_properties("x", {"bootstrap.servers": "a:1", "sasl.password": "hush"})
    assert "hush" not in repr(config)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "connection c: bootstrap.servers is missing"),
        ({"bootstrap.server": "a:1"}, "unknown Kafka option"),
        ({"security.protocol": "TLS"}, "security.protocol 'TLS': must be one of PLAINTEXT"),
        ({"security.protocol": "SASL_SSL"}, "sasl.mechanism '': must be one of PLAIN"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}, "sasl.username is missing"),
        ({"ssl.ca.pem": "x"}, "ssl.ca.pem is given, but security.protocol is PLAINTEXT"),
        ({"security.protocol": "SSL", "ssl.key.pem": "x"}, "ssl.key is given without ssl.certificate"),
        ({"security.protocol": "SSL", "ssl.ca.pem": "x", "ssl.ca.location": "y"}, "both as files and as texts"),
        (
            {"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "no"},
            "ssl.endpoint.identification.algorithm must be https, none or empty, found 'no'",
        ),
        ({"max.request.size": "big"}, "max_request_size must be a whole number"),
    ],
)
def test_a_wrong_option_is_named(properties: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        KafkaConfig.from_properties("connection c", ({"bootstrap.servers": "a:1"} if properties else {}) | properties)


def test_the_empty_fields_of_a_form_count_for_nothing() -> None:
    """Airflow stores them as null."""
    form = dict.fromkeys(("security.protocol", "sasl.mechanism", "ssl.ca.pem", "schema.registry.url", "client.id"))
    config = KafkaConfig.from_properties("c", {"bootstrap.servers": "a:1", **form, "sasl.username": ""})
    assert config == KafkaConfig("a:1")


def test_a_certificate_that_is_none_is_told() -> None:
    config = KafkaConfig.from_properties(
        "c", {"bootstrap.servers": "a:1", "security.protocol": "SSL", "ssl.ca.pem": "-----BEGIN"}
    )
    with pytest.raises(ConfigError, match="a certificate or key cannot be used"):
        config.client_options()


def test_each_client_gets_what_it_knows() -> None:
    config = KafkaConfig.from_properties(
        "c", {"bootstrap.servers": "a:1", "compression.type": "gzip", "client.rack": "r", "client.id": "me"}
    )
    options = config.client_options(), config.producer_options(), config.consumer_options()
    assert ["compression_type" in found for found in options] == [False, True, False]
    assert ["client_rack" in found for found in options] == [False, False, True]
    assert all(found["client_id"] == "me" for found in options)


def test_no_broker_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bigdata.kafka.config.CONNECT_TIMEOUT_MS", 500)
    config = KafkaConfig.from_properties("x", {"bootstrap.servers": "127.0.0.1:1"})
    with pytest.raises(StackError, match=r"no broker answers at 127.0.0.1:1 .*bigdata local up"):
        produce(config, "t", [Record(b"k", b"v")], "d")


def record(key: bytes, delivery: bytes) -> Record:
    return Record(key, b"", (("delivery", delivery),))


def test_a_delivery_that_came_back_whole_is_counted() -> None:
    reconciliation = Reconciliation(Receipt("t", "mine", sent=2))
    for key, delivery in [(b"1", b"mine"), (b"1", b"other"), (b"2", b"mine")]:
        reconciliation(record(key, delivery))
    assert reconciliation.check() == 2
    assert reconciliation.others == 1


@pytest.mark.parametrize(("keys", "message"), [([b"1"], "missing"), ([b"1", b"1"], "1 keys doubled: '1'")])
def test_a_lost_or_doubled_record_is_an_error(keys: list[bytes], message: str) -> None:
    reconciliation = Reconciliation(Receipt("t", "mine", sent=2))
    for key in keys:
        reconciliation(record(key, b"mine"))
    with pytest.raises(DeliveryError, match=message):
        reconciliation.check()


def test_a_receipt_survives_its_xcom() -> None:
    receipt = Receipt("t", "d", 3, {0: (5, 6), 2: (0, 0)})
    assert Receipt.from_dict(receipt.to_dict()) == receipt
