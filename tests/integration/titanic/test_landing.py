"""Landing a source in the embedded S3, by each kind of source, and what a refusing bucket says."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from bigdata.errors import ConfigError, DataError, StackError
from bigdata.storage.objects import ObjectStore, ensure_bucket
from bigdata.titanic.landing import KEY, land

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]


@pytest.fixture
def bucket() -> str:
    return f"raw-{uuid4().hex[:8]}"


def serve(handler: type[BaseHTTPRequestHandler] | partial[SimpleHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def website() -> Iterator[str]:
    yield from serve(partial(SimpleHTTPRequestHandler, directory=str(ROOT / "data")))


class Refusing(BaseHTTPRequestHandler):
    """An S3 that lets nobody write: the embedded one checks no rights, so this refusal cannot be had from it."""

    def do_GET(self) -> None:
        body = b"<ListAllMyBucketsResult><Buckets><Bucket><Name>raw</Name></Bucket></Buckets></ListAllMyBucketsResult>"
        self._answer(200, body)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")

    do_POST = do_PUT

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def refusing_store() -> Iterator[ObjectStore]:
    for url in serve(Refusing):
        yield ObjectStore(url, access_key="test", secret_key="test")


@pytest.mark.parametrize("kind", ["relative", "absolute", "file", "http", "s3"])
def test_the_real_list_lands_whole_from_any_kind_of_source(
    store: ObjectStore, bucket: str, website: str, kind: str
) -> None:
    file = ROOT / "data" / "titanic.csv"
    source = {
        "relative": "data/titanic.csv",
        "absolute": str(file),
        "file": file.as_uri(),
        "http": f"{website}/titanic.csv",
        "s3": f"s3://{bucket}/elsewhere.csv",
    }[kind]
    if kind == "s3":
        ensure_bucket(store, bucket)
        store.client().upload_file(str(file), bucket, "elsewhere.csv")

    landed = land(store, source, ROOT, bucket)

    assert (landed.rows, landed.size, landed.uri) == (891, file.stat().st_size, f"s3://{bucket}/{KEY}")
    stored = store.client().get_object(Bucket=bucket, Key=KEY)["Body"].read()
    assert hashlib.sha256(stored).hexdigest() == landed.sha256


def test_landing_again_replaces(store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    for content in (b"a;b\n1;2\n3;4\n", b"a;b\n1;2\n"):
        (tmp_path / "list.csv").write_bytes(content)
        land(store, "list.csv", tmp_path, bucket)
    assert store.client().get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"a;b\n1;2\n"


@pytest.mark.parametrize("source", ["http", "s3"])
def test_a_source_that_does_not_exist_is_named(store: ObjectStore, bucket: str, website: str, source: str) -> None:
    ensure_bucket(store, bucket)
    url = f"{website}/none.csv" if source == "http" else f"s3://{bucket}/none.csv"
    with pytest.raises(DataError, match=r"source .*none\.csv.*404"):
        land(store, url, ROOT, bucket)
    assert "Contents" not in store.client().list_objects_v2(Bucket=bucket)


class CutOff(BaseHTTPRequestHandler):
    """Promises more than it sends, as a server does that is restarted in the middle."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"a;b\n1;2\n")


def test_a_download_that_is_cut_off_never_lands(store: ObjectStore, bucket: str) -> None:
    ensure_bucket(store, bucket)
    for url in serve(CutOff):
        with pytest.raises(DataError, match=r"source http://127\.0\.0\.1:\d+/a\.csv was cut off: 8 bytes of 1000 came"):
            land(store, f"{url}/a.csv?token=hush", ROOT, bucket)
    assert "Contents" not in store.client().list_objects_v2(Bucket=bucket)


def test_a_bucket_that_may_not_be_written_is_named(refusing_store: ObjectStore) -> None:
    with pytest.raises(DataError, match=r"s3://raw/titanic/titanic\.csv: .*AccessDenied"):
        land(refusing_store, "data/titanic.csv", ROOT, "raw")
    with pytest.raises(DataError, match=r"bucket other: .*AccessDenied"):
        ensure_bucket(refusing_store, "other")


def test_a_bucket_name_s3_refuses_is_named(store: ObjectStore) -> None:
    with pytest.raises((ConfigError, DataError), match="bucket No_Such Name"):
        ensure_bucket(store, "No_Such Name")


def test_no_store_at_all_is_one_clear_error() -> None:
    nowhere = ObjectStore("http://127.0.0.1:1", access_key="test", secret_key="test")
    with pytest.raises(StackError, match=r"s3: nothing answers at http://127.0.0.1:1. .*bigdata local up"):
        ensure_bucket(nowhere, "raw")
