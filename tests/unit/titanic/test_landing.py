"""Landing: where a source may come from, and how its rows are counted. The store itself is tried in integration/."""

from pathlib import Path

import pytest

from bigdata.errors import ConfigError, DataError
from bigdata.storage.objects import ObjectStore, split_uri
from bigdata.titanic.landing import count_rows, land, shown

NOWHERE = ObjectStore("http://127.0.0.1:1", access_key="key", secret_key="secret-of-mine")


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"", 0),
        (b"a;b", 0),
        (b"a;b\n", 0),
        (b"a;b\n1;2\n", 1),
        (b"a;b\n1;2", 1),
        (b"a;b\r\n1;2\r\n3;4\r\n", 2),
        (b"a;b\r1;2\r3;4", 2),
        (b"a;b\n\n1;2\n  \n3;4\n\n", 2),
        (b"a;b\n\xff\xfe;2\n", 1),
        (b"a;b\n\t\n1;2\n", 2),
    ],
)
def test_rows_are_the_lines_after_the_header_that_are_not_blank(tmp_path: Path, content: bytes, rows: int) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(content)
    assert count_rows(file) == rows


@pytest.mark.parametrize("source", ["missing.csv", "file:///missing/file.csv", "ftp://host/file.csv", "."])
def test_a_source_that_cannot_be_read_is_named(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match="source .*(missing|ftp|not a file)"):
        land(NOWHERE, source, tmp_path, "raw")


def test_a_web_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="http://127.0.0.1:1/file.csv cannot be read: .*refused"):
        land(NOWHERE, "http://127.0.0.1:1/file.csv", tmp_path, "raw")


def test_secrets_in_a_url_are_not_shown() -> None:
    assert shown("https://me:hush@host:8/a.csv?X-Amz-Signature=hush") == "https://host:8/a.csv"
    assert shown("data/titanic.csv") == "data/titanic.csv"
    assert "hush" not in shown("http://[::1/x?key=hush")


@pytest.mark.parametrize("source", ["http://h/a b.csv", "http://[::1/x", "http://127.0.0.1:1/é.csv", "x" * 5000])
def test_a_source_that_is_no_place_at_all_is_one_clear_error(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match=r"^source .*(cannot be read|does not exist)"):
        land(NOWHERE, source, tmp_path, "raw")


def test_uris_split_into_bucket_and_key() -> None:
    assert split_uri("s3a://raw/a/b.csv") == ("raw", "a/b.csv")
    with pytest.raises(ConfigError, match="no s3:// URI"):
        split_uri("file:///a")


def test_credentials_are_not_shown() -> None:
    assert "secret-of-mine" not in repr(NOWHERE)
    assert "'key'" not in repr(NOWHERE)
