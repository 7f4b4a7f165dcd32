"""docker-compose.yaml: pinned, healthy, for this machine only, and without a secret."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bigdata.local.jars import KAFKA_VERSION
from bigdata.spark.packages import SPARK_VERSION

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text()
STACK: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = STACK["services"]
PROFILES = ["local", "kubernetes"]
# May be root, as Docker makes a new volume root's.
ROOTS = {"s3-volume"}
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::-((?:[^{}]|\$\{[A-Z]+\})*))?\}")


def in_profile(profile: str) -> dict[str, Any]:
    return {name: item for name, item in SERVICES.items() if profile in item.get("profiles", PROFILES)}


def defaults(text: str) -> str:
    """The text as Compose has it when no variable is set."""
    return VARIABLE.sub(lambda found: found[2] or "", text)


def environments() -> Iterator[tuple[str, str, str]]:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            yield name, key, str(value)


def one_shots() -> set[str]:
    """Those that others wait for the end of."""
    return {
        name
        for service in SERVICES.values()
        for name, wait in service.get("depends_on", {}).items()
        if wait["condition"] == "service_completed_successfully"
    }


def first(pattern: str, file: str) -> str:
    found = re.search(pattern, (ROOT / file).read_text(), re.MULTILINE)
    assert found, f"{pattern} is not in {file}"
    return found[1]


def test_every_image_is_the_one_that_the_rest_of_the_project_names() -> None:
    airflow = first(r"^apache-airflow==([^ ;]+)", "requirements.lock")
    wanted = {
        first(r"image: (\S+postgres:\S+)", "k8s/overlays/local/postgres.yaml"),
        first(r"image: (\S+versitygw:\S+)", "k8s/overlays/local/s3.yaml"),
        f"docker.io/apache/kafka:{KAFKA_VERSION}",
        f"bigdata/spark:{SPARK_VERSION}",
        f"bigdata/airflow:{airflow}-local",
    }
    assert {service["image"] for service in SERVICES.values()} == wanted
    assert all(re.fullmatch(r"[^:]+:v?\d+(\.\d+)+(-local)?", image) for image in wanted)


def test_each_image_of_ours_is_built_once_by_its_dockerfile() -> None:
    built = {service["image"]: service["build"] for service in SERVICES.values() if "build" in service}
    assert len(built) == sum("build" in service for service in SERVICES.values())
    ours = [service for service in SERVICES.values() if service["image"].startswith("bigdata/")]
    assert set(built) == {service["image"] for service in ours}
    assert {service["pull_policy"] for service in ours} == {"never"}, "or a stranger's of that name may come"
    for build in built.values():
        dockerfile = (ROOT / build["context"] / build["dockerfile"]).read_text()
        assert {item.partition("=")[0] for item in build["args"]} <= set(re.findall(r"^ARG (\w+)", dockerfile, re.M))
    (airflow,) = (build for image, build in built.items() if "airflow" in image)
    assert "EXTRAS=local" in airflow["args"], "the runtime local needs Spark"


def test_what_runs_on_has_a_health_check_and_comes_back() -> None:
    assert one_shots() == {"airflow-init", "s3-volume"}
    for name in set(SERVICES) - one_shots():
        assert SERVICES[name]["restart"] == "unless-stopped", name
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD", name
    assert all(SERVICES[name].get("restart", "no") == "no" for name in one_shots())


def test_nobody_waits_for_less_than_health_or_the_end() -> None:
    for profile in PROFILES:
        services = in_profile(profile)
        for name, service in services.items():
            waits = service.get("depends_on", {})
            assert set(waits) <= set(services), f"{name} waits for what {profile} has not"
            for other, wait in waits.items():
                wanted = "service_completed_successfully" if other in one_shots() else "service_healthy"
                assert wait["condition"] == wanted, (name, other)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("part", ["api-server", "scheduler", "dag-processor", "triggerer"])
def test_each_profile_has_one_of_each_part_of_airflow(profile: str, part: str) -> None:
    found = [service for service in in_profile(profile).values() if service.get("command") == f"airflow {part}"]
    assert len(found) == 1
    assert found[0]["hostname"] == part, "by which the health check finds its heartbeat"
    runtime = found[0]["environment"]["AIRFLOW__BIGDATA__RUNTIME"]
    if part in ("scheduler", "triggerer"):
        assert runtime == profile
        assert found[0].get("secrets", []) == ([] if profile == "local" else ["kubeconfig"])


def test_a_plain_up_is_the_profile_local_and_env_has_nothing_else() -> None:
    lines = [line for line in (ROOT / ".env").read_text().splitlines() if line and not line.startswith("#")]
    assert lines == ["COMPOSE_PROFILES=local"]


def test_no_secret_but_a_default_that_a_variable_replaces() -> None:
    whole = r"\$\{[A-Z0-9_]+:-[^{}]*\}"
    seen = set()
    for name, key, value in environments():
        if re.search(r"PASSWORD|SECRET|_KEY$", key):
            assert re.fullmatch(whole, value), (name, key)
            seen.add(key)
        if key == "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN":
            assert re.search(rf"://airflow:{whole}@postgres/", value), name
            seen.add(key)
        if key.startswith("AIRFLOW_CONN_"):
            fields = re.findall(r'"(login|password)": "([^"]*)"', value)
            assert all(re.fullmatch(whole, text) for _, text in fields), (name, key)
            seen |= {field for field, _ in fields}
    assert {"POSTGRES_PASSWORD", "ADMIN_PASSWORD", "ROOT_SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"} <= seen
    assert {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "login", "password"} <= seen


def test_a_variable_has_one_default() -> None:
    found: dict[str, set[str]] = {}
    for variable, default in VARIABLE.findall(TEXT):
        found.setdefault(variable, set()).add(default)
    assert {variable: texts for variable, texts in found.items() if len(texts) > 1} == {}
    assert found["AIRFLOW_ADMIN_PASSWORD"] != {"admin"}


def test_the_page_tells_every_variable() -> None:
    page = (ROOT / "docs" / "compose.md").read_text()
    told = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", page))
    assert {variable for variable, _ in VARIABLE.findall(TEXT)} - {"HOME"} <= told


def test_connections_are_json_that_leads_to_the_services() -> None:
    found = {key: json.loads(defaults(value)) for _, key, value in environments() if key.startswith("AIRFLOW_CONN_")}
    assert set(found) == {f"AIRFLOW_CONN_{name}_DEFAULT" for name in ("AWS", "KAFKA", "KUBERNETES")}
    s3 = found["AIRFLOW_CONN_AWS_DEFAULT"]
    root = SERVICES["s3"]["environment"]
    assert (s3["login"], s3["password"]) == (defaults(root["ROOT_ACCESS_KEY"]), defaults(root["ROOT_SECRET_KEY"]))
    assert s3["extra"]["endpoint_url"] == "http://s3:7070"
    assert ":7070" in SERVICES["s3"]["command"]
    broker = found["AIRFLOW_CONN_KAFKA_DEFAULT"]["extra"]["bootstrap.servers"]
    assert f"//{broker}," in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_all_ports_are_of_the_loopback_and_can_be_moved() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(ports) == {"api-server", "kafka", "s3", "spark-history"}
    for name, (port, *more) in ports.items():
        assert more == []
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z0-9]+_PORT:-\d+\}:\d+", port), name
    assert not [name for name, service in SERVICES.items() if service.get("network_mode") == "host"]


def test_volumes_are_named_and_what_is_mounted_of_the_repository_is_read_only() -> None:
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    named = {source for source, *_ in mounts if not source.startswith(("./", "/", "~"))}
    assert named == set(STACK["volumes"])
    bound = {source: options for source, _, *options in mounts if source not in named}
    assert set(bound) == {"./dags", "./spark_jobs", "./data"}
    assert all(options == ["ro"] for options in bound.values())
    assert all((ROOT / source).is_dir() for source in bound)
    spark = STACK["x-airflow"]["volumes"]
    assert "spark-events:/opt/airflow/.bigdata/spark-events" in spark, "[bigdata] state_dir's, where drivers write"


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_is_root_or_can_become_it(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    user = defaults(service["user"]).partition(":")[0]
    if name in ROOTS:
        assert service["cap_add"] == ["CHOWN"]
        assert service["network_mode"] == "none"
        assert name in one_shots()
    else:
        assert user not in ("", "0", "root")
        assert "cap_add" not in service


@pytest.mark.parametrize("profile", PROFILES)
def test_compose_itself_takes_the_file(profile: str, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    passed = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME")}
    command = [docker, "compose", "--project-directory", str(ROOT), "config", "--format", "json"]
    done = subprocess.run(
        command, env=passed | {"COMPOSE_PROFILES": profile}, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "a warning"
    found = json.loads(done.stdout)["services"]
    assert set(found) == set(in_profile(profile))
    published = [port for service in found.values() for port in service.get("ports", [])]
    assert len(published) == 4
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
