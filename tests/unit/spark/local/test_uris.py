"""Which file of this machine a manifest means."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from bigdata.errors import SubmitError
from bigdata.spark.local.uris import FileMap


@pytest.fixture
def files(tmp_path: Path) -> FileMap:
    for name in ("jobs/a b.py", "jobs/x#1.py", "home/jars/one.jar", "home/jars/two.jar"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return FileMap(PurePosixPath("/opt/spark/jobs"), tmp_path / "jobs", tmp_path / "home")


@pytest.mark.parametrize(
    ("uri", "here"),
    [
        ("local:///opt/spark/jobs/a%20b.py", "jobs/a%20b.py"),
        ("local:///opt/spark/jobs/a b.py", "jobs/a%20b.py"),
        ("local:/opt/spark/jobs/a b.py", "jobs/a%20b.py"),
        ("local:////opt//spark/./jobs/x/../a b.py", "jobs/a%20b.py"),
        ("local:///opt/spark/jobs/x%231.py", "jobs/x%231.py"),
        ("local:///opt/spark/jars/one.jar", "home/jars/one.jar"),
        ("local:///opt/spark/jars/one.jar#alias", "home/jars/one.jar#alias"),
        ("local:///opt/spark/jars/*.jar", "home/jars/*.jar"),
    ],
)
def test_a_file_of_the_image(files: FileMap, tmp_path: Path, uri: str, here: str) -> None:
    assert files.resolve(uri, "spec.x") == f"file://{tmp_path}/{here}"


def test_a_file_of_this_machine(files: FileMap, tmp_path: Path) -> None:
    uri = (tmp_path / "jobs" / "a b.py").as_uri()
    assert files.resolve(uri, "spec.x") == uri


@pytest.mark.parametrize("uri", ["s3a://b/x.py", "https://h/x.py?y#z", "http://h/x.py", "spark-internal"])
def test_what_spark_fetches_itself(files: FileMap, uri: str) -> None:
    assert files.resolve(uri, "spec.x") == uri


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "local:///opt/spark/jobs/no.py",
            "spec.x: local:///opt/spark/jobs/no.py is .*/jobs/no.py on this machine, which does not exist",
        ),
        (
            "local:///opt/spark/jobs/../../../etc/passwd",
            "lies in the image, and only /opt/spark/jobs .* have a counterpart",
        ),
        ("local:///app/x.py", "lies in the image"),
        ("local:///opt/spark/nojars/*.jar", "does not exist"),
        ("local://opt/spark/jobs/a.py", "names a host: write local:///path with three slashes"),
        ("file:///no/such.py", "/no/such.py does not exist"),
        ("gs://b/x.py", "cannot fetch gs://b/x.py here; possible are local://, file://, http://, https://, s3a://"),
    ],
)
def test_what_is_not_there(files: FileMap, uri: str, message: str) -> None:
    with pytest.raises(SubmitError, match=message):
        files.resolve(uri, "spec.x")


def test_a_scheme_that_the_manifest_defines(files: FileMap) -> None:
    assert files.resolve("gs://b/x.py", "spec.x", frozenset({"gs"})) == "gs://b/x.py"
