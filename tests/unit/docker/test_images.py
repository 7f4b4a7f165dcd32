"""The images' build files agree with the library and the lock; none of it needs a builder."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from bigdata.spark import packages
from bigdata.spark.manifest.loading import load

ROOT = Path(__file__).parents[3]
SPARK = ROOT / "docker" / "spark"
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
JOBS = ROOT / "spark_jobs"


@pytest.fixture
def jars() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_jars", SPARK / "jars.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def locked(name: str) -> str:
    (version,) = re.findall(rf"^{re.escape(name)}==([^ ;]+)", LOCK, re.MULTILINE)
    return version


def test_the_lock_of_jars_has_every_package_of_the_library(jars: ModuleType) -> None:
    names = {line.split()[1] for line in (SPARK / "jars.sha256").read_text().splitlines()}
    for folder, (wanted, _) in jars.SETS.items():
        for package in wanted:
            _, artifact, version = package.split(":")
            assert f"{folder}/{artifact}-{version}.jar" in names
    assert not [name for name in names if name.startswith(("jars/bundle-", "jars/commons-logging-"))]
    assert set(packages.S3A_PACKAGES) <= set(jars.SETS["jars"][0]), "the laptop's are the image's"


def test_all_that_names_a_spark_names_the_same() -> None:
    assert PROJECT["optional-dependencies"]["local"] == [f"pyspark=={packages.SPARK_VERSION}"]
    assert locked("pyspark") == packages.SPARK_VERSION
    assert f"bigdata/spark:{packages.SPARK_VERSION} " in (SPARK / "Dockerfile").read_text()
    for file in JOBS.glob("*.yaml"):
        assert f"image: bigdata/spark:{packages.SPARK_VERSION}\n" in file.read_text()
        assert f"sparkVersion: {packages.SPARK_VERSION}\n" in file.read_text()


def test_the_airflow_image_starts_from_the_airflow_of_the_lock() -> None:
    dockerfile = (ROOT / "docker" / "airflow" / "Dockerfile").read_text()
    assert f"apache/airflow:{locked('apache-airflow')}\n" in dockerfile
    assert f"bigdata/airflow:{locked('apache-airflow')} " in dockerfile


def test_the_airflow_image_leaves_out_pyspark_and_what_only_pyspark_needs() -> None:
    """Its Dockerfile filters the lock by these two names."""
    needed_by = {
        block.partition("==")[0]: set(re.findall(r"^    #(?: via|  ) (\S+)", block, re.MULTILINE))
        for block in re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    }
    assert needed_by["pyspark"] == {"airflow-bigdata"}
    assert [name for name, users in needed_by.items() if users == {"pyspark"}] == ["py4j"]
    assert re.findall(r"\^\((.*?)\)==", (ROOT / "docker" / "airflow" / "Dockerfile").read_text()) == ["pyspark|py4j"]
    assert not [item for item in PROJECT["dependencies"] if item.startswith("pyspark")]


@pytest.mark.parametrize("image", ["spark", "airflow"])
def test_what_a_dockerfile_copies_is_let_into_its_context(image: str) -> None:
    folder = ROOT / "docker" / image
    let_in = [line[1:] for line in (folder / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]
    assert all((ROOT / path).exists() for path in let_in)
    dockerfile = (folder / "Dockerfile").read_text()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    copied += re.findall(r"--mount=type=bind,source=([^,]+)", dockerfile)
    assert len(copied) > 3
    assert not [path for path in copied if not any(item.startswith(path) or path.startswith(item) for item in let_in)]


def test_the_jars_are_gathered_without_airflow_and_pyspark(tmp_path: Path) -> None:
    """In the build's stage there is only what the ignore file lets in."""
    for line in (SPARK / "Dockerfile.dockerignore").read_text().splitlines():
        if line.startswith("!plugins/"):
            target = tmp_path / line.removeprefix("!plugins/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(ROOT / line[1:])
    script = f"import sys, runpy; sys.path.append({str(tmp_path)!r}); runpy.run_path({str(SPARK / 'jars.py')!r})"
    result = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_jar_that_is_not_the_locked_one_is_told(jars: ModuleType, tmp_path: Path) -> None:
    jar = tmp_path / "jars" / "s3-1.jar"
    jar.parent.mkdir()
    jar.write_bytes(b"good")
    before = jars.checksums(tmp_path, [jar])
    assert jars.differences(before, jars.checksums(tmp_path, [jar])) == ""
    jar.write_bytes(b"evil")
    found = jars.differences(before, jars.checksums(tmp_path, [jar])).splitlines()
    assert sorted(line[0] for line in found) == ["+", "-"]
    assert all(line.endswith("  jars/s3-1.jar") for line in found)


def test_the_environments_proxies_are_told_to_java(jars: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    assert list(jars.proxy_options()) == []
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "localhost, .example.org")
    assert list(jars.proxy_options()) == [
        "-Dhttps.proxyHost=proxy.example.org",
        "-Dhttps.proxyPort=3128",
        "-Dhttp.nonProxyHosts=localhost|*.example.org",
    ]


def test_a_mirror_takes_the_place_of_maven_central(
    jars: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAVEN_MIRROR", "http://127.0.0.1:9/nothing?a&b")
    said = jars.main([str(tmp_path)])
    assert "image-jars: not found: org.apache.hadoop:hadoop-aws:3.5.0" in said
    assert "127.0.0.1:9/nothing?a&amp;b" in (tmp_path / "ivysettings.xml").read_text()


def environment(**variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **variables}


@pytest.fixture
def entrypoint(tmp_path: Path) -> Path:
    """A copy beside a spark-submit and a java that print what they get."""
    for name in ("bin/spark-submit", "bin/java"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        file.chmod(0o755)
    return SPARK / "entrypoint.sh"


def called(entrypoint: Path, home: Path, *arguments: str, **variables: str) -> list[str]:
    result = subprocess.run(
        [str(entrypoint), *arguments],
        env=environment(SPARK_HOME=str(home), JAVA_HOME=str(home), **variables),
        capture_output=True, text=True, cwd=home,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_the_entrypoint_starts_a_driver(entrypoint: Path, tmp_path: Path) -> None:
    argv = called(entrypoint, tmp_path, "driver", "--class", "X Y", SPARK_DRIVER_BIND_ADDRESS="10.0.0.7")
    assert argv[:2] == ["--deploy-mode", "client"]
    assert "spark.driver.bindAddress=10.0.0.7" in argv
    assert argv[-2:] == ["--class", "X Y"]


def test_the_entrypoint_starts_an_executor_with_its_options_in_order(entrypoint: Path, tmp_path: Path) -> None:
    names = ("DRIVER_URL", "EXECUTOR_ID", "EXECUTOR_CORES", "APPLICATION_ID", "EXECUTOR_POD_IP", "RESOURCE_PROFILE_ID")
    variables = {f"SPARK_{name}": name.lower() for name in (*names, "EXECUTOR_POD_NAME")}
    options = {f"SPARK_JAVA_OPT_{number}": f"-Dnumber={number} of 12" for number in range(12)}
    argv = called(
        entrypoint, tmp_path, "executor", SPARK_EXECUTOR_MEMORY="1g", SPARK_CLASSPATH="/x.jar", **variables, **options
    )
    assert argv[:12] == [f"-Dnumber={number} of 12" for number in range(12)]
    assert argv[12:14] == ["-Xms1g", "-Xmx1g"]
    assert argv[15].split(":")[:3] == [f"{tmp_path}/conf", "/x.jar", f"{tmp_path}/jars/*"]
    assert argv[argv.index("--driver-url") + 1] == "driver_url"


def test_the_entrypoint_runs_anything_else_as_it_is(entrypoint: Path, tmp_path: Path) -> None:
    assert called(entrypoint, tmp_path, "echo", "two words") == ["two words"]


@pytest.mark.parametrize("file", sorted(JOBS.glob("*.yaml")), ids=lambda file: file.stem)
@pytest.mark.parametrize("role", ["driver", "executor"])
def test_every_manifest_meets_pod_security_restricted(file: Path, role: str) -> None:
    text = re.sub(r"\{\{.*?\}\}", "x", file.read_text())
    pod = load(text).to_dict()["spec"][role]
    assert pod["podSecurityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_the_metrics_configuration_names_spark_s_metrics() -> None:
    rules = yaml.safe_load((SPARK / "prometheus" / "config.yaml").read_text())["rules"]
    gauge, counter = (re.compile(rule["pattern"]) for rule in rules)
    found = gauge.fullmatch("metrics<name=default.spark-pi.driver.BlockManager.memory.maxMem_MB, type=gauges><>Value")
    assert found
    assert found.groups() == ("default", "spark-pi", "driver", "BlockManager.memory.maxMem_MB")
    found = counter.fullmatch("metrics<name=spark-1f.1.executor.bytesRead, type=counters><>Count")
    assert found
    assert found.groups() == (None, "spark-1f", "1", "executor.bytesRead")
