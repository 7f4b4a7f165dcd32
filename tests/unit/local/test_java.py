import logging
from pathlib import Path

import pytest

from bigdata.errors import StackError
from bigdata.local.java import find_java


def fake_java(folder: Path, script: str) -> Path:
    """A program named java; no real one can be made to be too old, trimmed or a stub."""
    executable = folder / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\n{script}\n")
    executable.chmod(0o755)
    return executable


def reports(version: str, home: str = "/opt/java") -> str:
    return f"echo '    java.home = {home}' >&2; echo '    java.version = {version}' >&2"


def test_the_java_of_this_machine_fits():
    java = find_java()
    assert java.version >= 17
    assert java.executable.exists()
    assert (java.home / "bin" / "java").exists()


def test_java_home_comes_before_path(tmp_path):
    fake_java(tmp_path / "home", reports("21.0.4", "/opt/java-21"))
    fake_java(tmp_path / "path", reports("17.0.9"))
    environ = {"JAVA_HOME": str(tmp_path / "home"), "PATH": f"{tmp_path / 'path' / 'bin'}:/bin:/usr/bin"}
    assert find_java(environ).version == 21
    assert find_java(environ).home == Path("/opt/java-21")


def test_a_java_that_does_not_fit_is_passed_over(tmp_path, caplog):
    fake_java(tmp_path / "home", reports("11.0.2"))
    fits = fake_java(tmp_path / "path", reports("17.0.9"))
    environ = {"JAVA_HOME": str(tmp_path / "home"), "PATH": f"{fits.parent}:/bin:/usr/bin"}
    assert find_java(environ).executable == fits
    assert "passed over" in caplog.text
    assert "11.0.2" in caplog.text


@pytest.mark.parametrize(
    "version", ["echo 'openjdk version \"11.0.2\" 2019-01-15' >&2", "echo 'java version \"1.8.0_392\"' >&2; exit 1"]
)
def test_too_old_says_version_and_path(tmp_path, version):
    executable = fake_java(tmp_path, version)
    with pytest.raises(StackError) as caught:
        find_java({"PATH": f"{executable.parent}:/bin"})
    assert str(executable) in str(caught.value)
    assert "11.0.2" in str(caught.value) or "1.8.0_392" in str(caught.value)
    assert "17 is the oldest" in str(caught.value)
    assert "JAVA_HOME" in caught.value.hint


def test_missing_says_where_was_looked(tmp_path):
    with pytest.raises(StackError, match="JAVA_HOME is not set and PATH has no java"):
        find_java({"PATH": str(tmp_path)})


def test_java_home_that_points_nowhere_is_named(tmp_path):
    with pytest.raises(StackError, match=r"nowhere/bin/java \(from JAVA_HOME\) cannot be run"):
        find_java({"JAVA_HOME": str(tmp_path / "nowhere"), "PATH": ""})


def test_the_stub_of_macos_is_no_java(tmp_path):
    executable = fake_java(tmp_path, "echo 'Unable to locate a Java Runtime.' >&2; exit 1")
    with pytest.raises(StackError, match="no working Java: it exits with code 1 and says: Unable to locate a Java"):
        find_java({"PATH": f"{executable.parent}:/bin"})


def test_a_trimmed_runtime_is_named(tmp_path):
    refuse = 'case "$*" in *--add-modules*) echo "Module jdk.incubator.vector not found"; exit 1;; esac; '
    executable = fake_java(tmp_path, refuse + reports("17.0.9"))
    with pytest.raises(StackError, match=r"17\.0\.9 but lacks the module jdk\.incubator\.vector"):
        find_java({"PATH": f"{executable.parent}:/bin"})


def test_newer_than_tried_is_taken_with_a_warning(tmp_path, caplog):
    executable = fake_java(tmp_path, reports("26-ea"))
    with caplog.at_level(logging.WARNING):
        assert find_java({"PATH": f"{executable.parent}:/bin"}).version == 26
    assert "tried are 17 to 21" in caplog.text
