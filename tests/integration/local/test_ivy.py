"""Ivy itself, on a Maven repository made of files: no network."""

from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from bigdata.errors import ConfigError, StackError
from bigdata.local import ivy

pytestmark = pytest.mark.integration


class Repository:
    """A Maven repository in a folder, and the Ivy settings of somebody who has it as mirror."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = root / "ivysettings.xml"
        root.mkdir()
        pattern = f"{root}/[organisation]/[module]/[revision]/[module]-[revision]"
        self.settings.write_text(
            f"""<ivysettings><settings defaultResolver="mirror"/><resolvers>
            <filesystem name="mirror" m2compatible="true">
              <ivy pattern="{pattern}.pom"/><artifact pattern="{pattern}.[ext]"/>
            </filesystem></resolvers></ivysettings>"""
        )

    def add(self, package: str, *needs: str, packaging: str = "jar") -> None:
        group, artifact, version = package.split(":")
        folder = self.root / group.replace(".", "/") / artifact / version
        folder.mkdir(parents=True)
        needed = "".join(
            f"<dependency><groupId>{g}</groupId><artifactId>{a}</artifactId><version>{v}</version></dependency>"
            for g, a, v in (need.split(":") for need in needs)
        )
        (folder / f"{artifact}-{version}.pom").write_text(
            f"<project><modelVersion>4.0.0</modelVersion><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
            f"<version>{version}</version><packaging>{packaging}</packaging><dependencies>{needed}</dependencies></project>"
        )
        with zipfile.ZipFile(folder / f"{artifact}-{version}.jar", "w") as jar:
            jar.writestr("name", package)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "mirror")
    made.add("org.one:app:1.0", "org.two:lib:2.0", "org.three:unwanted:3.0")
    made.add("org.two:lib:2.0", "org.four:bundle:4.0")
    made.add("org.three:unwanted:3.0")
    made.add("org.four:bundle:4.0", packaging="bundle")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jars"


def resolve(repository: Repository, folder: Path, *packages: str, excludes: tuple[str, ...] = ()) -> list[str]:
    found = ivy.resolve(
        "app", packages or ("org.one:app:1.0",), excludes, folder=folder, ivy_settings=str(repository.settings)
    )
    assert all(path.is_file() for path in found)
    return [path.name for path in found]


def test_what_a_package_needs_comes_along_bundles_too(repository, folder):
    assert resolve(repository, folder) == [
        "org.four_bundle-4.0.jar",
        "org.one_app-1.0.jar",
        "org.three_unwanted-3.0.jar",
        "org.two_lib-2.0.jar",
    ]


def test_excludes_stay_out(repository, folder):
    assert "org.three_unwanted-3.0.jar" not in resolve(repository, folder, excludes=("org.three:unwanted",))


def test_a_second_call_needs_neither_java_nor_repository(repository, folder, monkeypatch, tmp_path):
    first = resolve(repository, folder)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    repository.settings.unlink()
    assert resolve(repository, folder) == first


def test_other_packages_are_resolved_anew_and_the_old_jars_go(repository, folder):
    resolve(repository, folder)
    assert resolve(repository, folder, "org.four:bundle:4.0") == ["org.four_bundle-4.0.jar"]
    assert [path.name for path in (folder / "app").glob("*.jar")] == ["org.four_bundle-4.0.jar"]


@pytest.mark.parametrize("damage", ["missing jar", "short jar", "missing stamp", "damaged stamp"])
def test_an_incomplete_set_is_not_taken_for_complete(repository, folder, damage):
    first = resolve(repository, folder)
    jar, stamp = folder / "app" / first[0], folder / "app" / "stamp.json"
    {
        "missing jar": jar.unlink,
        "short jar": lambda: jar.write_bytes(b""),
        "missing stamp": stamp.unlink,
        "damaged stamp": lambda: stamp.write_text("{"),
    }[damage]()
    assert resolve(repository, folder) == first


def test_packages_that_are_not_there_are_named_and_nothing_is_left(repository, folder):
    with pytest.raises(StackError, match=r"app: not found: org\.one:app:9\.9, org\.nil:nil:1\. .*ivy_settings"):
        resolve(repository, folder, "org.one:app:9.9", "org.nil:nil:1", "org.two:lib:2.0")
    assert not (folder / "app").exists()


def test_a_dead_network_is_told_from_a_wrong_name(folder, monkeypatch):
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=1")
    told: list[str] = []
    with pytest.raises(StackError, match="The network failed .*Connection refused.*ivy_settings") as caught:
        ivy.resolve("app", ["org.slf4j:slf4j-api:2.0.17"], folder=folder, progress=told.append)
    assert "org.slf4j:slf4j-api:2.0.17" in str(caught.value)
    assert told == ["app: first use, downloading", "app: the network failed, trying once more"]


def test_ivy_settings_that_are_missing_are_named(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"\[bigdata\] ivy_settings = .*nowhere\.xml: there is no such file"):
        ivy.resolve("app", ["a:b:1"], folder=folder, ivy_settings=str(tmp_path / "nowhere.xml"))


def test_a_package_of_another_form_is_named(folder):
    with pytest.raises(ConfigError, match="'org.one:app' is not of the form group:artifact:version"):
        ivy.resolve("app", ["org.one:app"], folder=folder)


def test_a_cancelled_download_ends_and_leaves_nothing_complete(repository, folder):
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(StackError, match="cancelled"):
        ivy.resolve(
            "app", ["org.one:app:1.0"], folder=folder, ivy_settings=str(repository.settings), cancelled=cancelled
        )
    assert not (folder / "app").exists()
    assert len(resolve(repository, folder)) == 4


def test_several_processes_at_once_get_the_same(repository, folder):
    program = (
        "import sys; from pathlib import Path; from bigdata.local import ivy; "
        "print(len(ivy.resolve('app', ['org.one:app:1.0'], folder=Path(sys.argv[1]), ivy_settings=sys.argv[2])))"
    )
    command = [sys.executable, "-c", program, str(folder), str(repository.settings)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [child.communicate(timeout=120)[0] for child in children] == ["4\n"] * 3
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["app"]
