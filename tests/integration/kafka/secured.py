"""A broker with the listeners of k8s/base/kafka: plain, tls (mTLS) and external (SCRAM over TLS); ACLs are enforced.

Who comes by the plain listener may do anything, as it is how a test grants rights; the other users may do nothing until
then.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bigdata.kafka.config import KafkaConfig
from bigdata.local.kafka import Kafka
from bigdata.local.ports import HOST, free_port
from bigdata.local.service import Site

TLS_USER = "alice"
SCRAM_USER, SCRAM_PASSWORD = "bob", "only-for-this-test"
PLAIN_USER, PLAIN_PASSWORD = "carol", "also-only-for-this-test"
_MODULES = "org.apache.kafka.common.security"


class Authority:
    """A certificate authority, and what it has signed, as PEM texts."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self._certificate = self._builder(self._name, self._key).add_extension(basic, True)
        self.pem = _pem(self._certificate.sign(self._key, hashes.SHA256()))

    def sign(self, name: str) -> tuple[str, str]:
        """A certificate for a name, good for this machine's address, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
        certificate = self._builder(subject, key).add_extension(address, False).sign(self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return _pem(certificate), private.decode()

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(minutes=5),
            not_valid_after=now + datetime.timedelta(days=1),
        )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class SecuredKafka(Kafka):
    """The broker. Its files are made when it is prepared."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self.authority = authority
        taken: set[int] = set()
        for _ in range(3):
            taken.add(free_port(19500, taken))
        self.ports = dict(zip(("tls", "external", "sasl"), sorted(taken), strict=True))

    def prepare(self, site: Site) -> None:
        site.conf.mkdir(parents=True, exist_ok=True)
        (site.conf / "broker.pem").write_text("".join(reversed(self.authority.sign("broker"))))
        (site.conf / "ca.pem").write_text(self.authority.pem)
        super().prepare(site)

    def format_arguments(self, site: Site) -> Sequence[str]:
        return ["--add-scram", f"SCRAM-SHA-512=[name={SCRAM_USER},password={SCRAM_PASSWORD}]"]

    def properties(self, site: Site, log_dir: str) -> dict[str, Any]:
        plain = f'{_MODULES}.plain.PlainLoginModule required user_{PLAIN_USER}="{PLAIN_PASSWORD}";'
        found = super().properties(site, log_dir)
        where = {name: f"{name.upper()}://{HOST}:{port}" for name, port in self.ports.items()}
        more = "," + ",".join(where.values())
        return found | {
            "listeners": found["listeners"] + more,
            "advertised.listeners": found["advertised.listeners"] + more,
            "listener.security.protocol.map": found["listener.security.protocol.map"]
            + ",TLS:SSL,EXTERNAL:SASL_SSL,SASL:SASL_PLAINTEXT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": site.conf / "broker.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": site.conf / "ca.pem",
            "listener.name.tls.ssl.client.auth": "required",
            "listener.name.external.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.external.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
            "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config": plain,
        }


@dataclass
class Secured:
    """The broker as clients see it.

    :param plain: may do anything.
    """

    service: SecuredKafka
    plain: KafkaConfig
    folder: Path

    def properties(self, listener: str) -> dict[str, str]:
        """Options by Kafka's names with which a client may come in."""
        authority = self.service.authority
        server = {"bootstrap.servers": f"{HOST}:{self.service.ports[listener]}"}
        if listener == "tls":
            certificate, key = authority.sign(TLS_USER)
            texts = {"ssl.ca.pem": authority.pem, "ssl.certificate.pem": certificate, "ssl.key.pem": key}
            return server | {"security.protocol": "SSL"} | texts
        if listener == "external":
            scram = _sasl("SASL_SSL", "SCRAM-SHA-512", SCRAM_USER, SCRAM_PASSWORD)
            return server | scram | {"ssl.ca.pem": authority.pem}
        return server | _sasl("SASL_PLAINTEXT", "PLAIN", PLAIN_USER, PLAIN_PASSWORD)

    def as_files(self, properties: dict[str, str]) -> dict[str, str]:
        """The same with the certificates in files."""
        made = {}
        for name, value in properties.items():
            if name.endswith(".pem"):
                file = self.folder / name
                file.write_text(value)
                name, value = name.replace(".pem", ".location"), str(file)
            made[name] = value
        return made

    def grant(self, user: str, topic: str = "", group: str = "", transactional_id: str = "") -> None:
        """Let a user read and write a topic, read with a group, write with a transactional id; all by prefix."""
        from kafka import KafkaAdminClient
        from kafka.admin import (
            ACL,
            ACLOperation,
            ACLPermissionType,
            ACLResourcePatternType,
            ResourcePattern,
            ResourceType,
        )

        wanted = [
            (ResourceType.TOPIC, topic, ("READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")),
            (ResourceType.GROUP, group, ("READ", "DESCRIBE")),
            (ResourceType.TRANSACTIONAL_ID, transactional_id, ("WRITE", "DESCRIBE")),
        ]
        acls = [
            ACL(
                principal=f"User:{'CN=' if user == TLS_USER else ''}{user}",
                host="*",
                operation=ACLOperation[operation],
                permission_type=ACLPermissionType.ALLOW,
                resource_pattern=ResourcePattern(kind, name, ACLResourcePatternType.PREFIXED),
            )
            for kind, name, operations in wanted
            if name
            for operation in operations
        ]
        admin = KafkaAdminClient(**self.plain.client_options())
        try:
            admin.create_acls(acls)
        finally:
            admin.close()


def _sasl(protocol: str, mechanism: str, user: str, password: str) -> dict[str, str]:
    return {
        "security.protocol": protocol,
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password,
    }


def run(folder: Path, jars: Path) -> Iterator[Secured]:
    """Have the broker up; it ends with the iteration."""
    import time

    from bigdata.local.java import find_java
    from bigdata.local.launch import Launch

    service = SecuredKafka(Authority("test"))
    launch = Launch(
        service, folder, folder, find_java(), str(jars / "kafka" / "*"), 0, set(service.ports.values()), 120
    )
    try:
        while not launch.poll():
            time.sleep(0.1)
        yield Secured(service, KafkaConfig(f"{HOST}:{launch.record.port}"), folder)
    finally:
        launch.abandon()
