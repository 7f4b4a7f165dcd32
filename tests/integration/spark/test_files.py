"""Main files, jars, modules and packages from everywhere a manifest may have them."""

from __future__ import annotations

import ssl
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore
from cryptography.x509.oid import NameOID

from bigdata.local.stack import Stack
from bigdata.spark.runtime import Phase
from bigdata.storage.objects import ObjectStore

from .conftest import JOBS, Bench, probe

pytestmark = pytest.mark.integration

CREDENTIALS = {
    "envSecretKeyRefs": {
        "AWS_ACCESS_KEY_ID": {"name": "aws-credentials", "key": "access_key"},
        "AWS_SECRET_ACCESS_KEY": {"name": "aws-credentials", "key": "secret_key"},
    }
}


def jar(path: Path, resource: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(resource, "hello")
    return path


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server on loopback with the jobs and a jar."""
    folder = tmp_path / "web"
    folder.mkdir()
    for name in ("probe.py", "helpers.py"):
        (folder / name).write_bytes((JOBS / name).read_bytes())
    jar(folder / "one.jar", "one.txt")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def certified(web: str, folder: Path) -> tuple[Path, int]:
    """Serve the same by TLS: the trust store that holds the server's certificate, and the port."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(private + certificate.public_bytes(Encoding.PEM))
    store = folder / "trust.p12"
    store.write_bytes(
        serialize_java_truststore([PKCS12Certificate(certificate, b"localhost")], BestAvailableEncryption(b"changeit"))
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder / "web")))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.pem")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    return store, server.server_port


def test_files_of_the_repository_and_a_package(bench: Bench, tmp_path: Path) -> None:
    artifact = tmp_path / "maven" / "org" / "example" / "two" / "1.0" / "two-1.0.jar"
    jar(artifact, "two.txt")
    artifact.with_suffix(".pom").write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>org.example</groupId>"
        "<artifactId>two</artifactId><version>1.0</version></project>"
    )
    one = jar(tmp_path / "one.jar", "one.txt")
    deps = {
        "pyFiles": ["local:///opt/spark/jobs/helpers.py"],
        "jars": [one.as_uri()],
        "packages": ["org.example:two:1.0"],
        "repositories": [(tmp_path / "maven").as_uri()],
    }
    bench.run(probe("files", deps=deps)).check("probe")
    assert bench.said("module:") == bench.said("worker:") == "helpers"
    assert bench.said("resources:") == "['one.txt', 'two.txt']"
    assert list(bench.settings.ivy_dir.rglob("*two-1.0.jar"))


def test_a_package_that_does_not_exist_is_named(bench: Bench, tmp_path: Path) -> None:
    outcome = bench.run(
        probe("hello", deps={"packages": ["org.example:nope:1.0"], "repositories": [tmp_path.as_uri()]})
    )
    assert outcome.phase == Phase.FAILED
    assert "org.example#nope;1.0: not found" in outcome.reason


def test_files_by_http(bench: Bench, web: str) -> None:
    deps = {"pyFiles": [f"{web}/helpers.py"], "jars": [f"{web}/one.jar"]}
    bench.run(probe("files", mainApplicationFile=f"{web}/probe.py", deps=deps)).check("probe")
    assert bench.said("worker:") == "helpers"
    assert bench.said("resources:") == "['one.txt']"


def test_files_by_https(bench: Bench, web: str, tmp_path: Path) -> None:
    """A server whose certificate Java is told to trust; by default it trusts none of its kind."""
    store, port = certified(web, tmp_path)
    url = f"https://localhost:{port}"
    deps = {"pyFiles": [f"{url}/helpers.py"], "jars": [f"{url}/one.jar"]}
    spec = {"mainApplicationFile": f"{url}/probe.py", "deps": deps}
    outcome = bench.run(probe("files", **spec))
    assert outcome.phase == Phase.FAILED
    assert "certification path" in outcome.reason

    bench.lines.clear()
    trust = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"
    bench.run(probe("files", **spec, driver={"javaOptions": trust})).check("probe")
    assert bench.said("worker:") == "helpers"
    assert bench.said("resources:") == "['one.txt']"


def test_files_by_s3a(bench: Bench, tmp_path: Path, stack: Stack, store: ObjectStore) -> None:
    bucket = f"jobs-{uuid.uuid4().hex[:8]}"
    client = store.client()
    client.create_bucket(Bucket=bucket)
    for path in (JOBS / "probe.py", JOBS / "helpers.py", jar(tmp_path / "one.jar", "one.txt")):
        client.put_object(Bucket=bucket, Key=path.name, Body=path.read_bytes())
    s3a = f"s3a://{bucket}"
    hadoop = {
        "fs.s3a.endpoint": stack.require("s3").url,
        "fs.s3a.endpoint.region": "us-east-1",
        "fs.s3a.path.style.access": "true",
    }
    deps = {"pyFiles": [f"{s3a}/helpers.py"], "jars": [f"{s3a}/one.jar"]}
    bench.run(
        probe("files", mainApplicationFile=f"{s3a}/probe.py", deps=deps, hadoopConf=hadoop, driver=CREDENTIALS)
    ).check("probe")
    assert bench.said("worker:") == "helpers"
    assert bench.said("resources:") == "['one.txt']"
