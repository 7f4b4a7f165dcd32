"""The one reader of configuration: Airflow's ``[bigdata]`` section, or ``AIRFLOW__BIGDATA__<KEY>`` in the
environment.

Code asks :func:`load` and never ``os.environ``. Airflow is imported inside, so that the core stays free of it. The
command line asks :func:`from_environment`, which reads the same places without Airflow's second and a half, and
leaves no airflow.cfg.
"""

from __future__ import annotations

import configparser
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from bigdata.errors import ConfigError

SECTION = "bigdata"


class RuntimeName(StrEnum):
    """Where a SparkApplication runs."""

    LOCAL = "local"
    NATIVE = "native"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True)
class Settings:
    """All settings of one process; see ``bigdata.provider`` for what each means and its default."""

    runtime: RuntimeName
    project_dir: Path
    jobs_root: Path
    image_jobs_root: PurePosixPath
    state_dir: Path
    namespace: str
    instance: str
    image_registry: str
    s3_conn_id: str
    kafka_conn_id: str
    kubernetes_conn_id: str
    secret_connections: dict[str, str]
    history_server_url: str
    driver_log_url: str
    kafka_port: int
    kafka_brokers: int
    s3_port: int
    ivy_settings: str


def load(dag_file: str | Path | None = None) -> Settings:
    """Read the settings.

    :param dag_file: the DAG's own file: data and manifests then come from the checkout that it lies in, which is
        another one in each version of a DAG bundle, unless a setting says where they are.
    :raises ConfigError: naming the option whose value cannot be used.
    """
    from airflow.configuration import conf

    deployed = Path(conf.get("core", "dags_folder")).parent
    checkout = find_project(Path(dag_file).parent) if dag_file else None
    return _build(lambda key: conf.get(SECTION, key, fallback=None), deployed, checkout)


def from_environment(project_dir: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings as :func:`load` does in the project's environment, without Airflow.

    :param project_dir: the checkout, unless the environment names another.
    :param environ: default: the environment of this process.
    :raises ConfigError: naming the option whose value cannot be used.
    """
    found = os.environ if environ is None else environ

    def variable(key: str) -> str | None:
        return found.get(f"AIRFLOW__{SECTION.upper()}__{key.upper()}")

    home = _build(variable, project_dir).state_dir / "airflow"
    section = _section(home / "airflow.cfg")
    return _build(lambda key: variable(key) or section.get(key), project_dir)


def find_project(start: Path) -> Path | None:
    """The checkout that a folder lies in: the nearest one upwards with dags/, spark_jobs/ and pyproject.toml."""
    for folder in (start, *start.parents):
        if all((folder / name).exists() for name in ("dags", "spark_jobs", "pyproject.toml")):
            return folder
    return None


def _section(file: Path) -> Mapping[str, str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(file, encoding="utf-8")
    except configparser.Error as error:
        raise ConfigError(f"{file}: {error}") from None
    return parser[SECTION] if parser.has_section(SECTION) else {}


def _build(get: Callable[[str], str | None], deployed: Path, checkout: Path | None = None) -> Settings:
    def text(key: str, default: str) -> str:
        return (get(key) or default).strip()

    def path(key: str, default: Path) -> Path:
        return Path(text(key, str(default))).expanduser().resolve()

    project_dir = path("project_dir", checkout or deployed)
    return Settings(
        runtime=_runtime(text("runtime", RuntimeName.LOCAL)),
        project_dir=project_dir,
        jobs_root=path("jobs_root", project_dir / "spark_jobs"),
        image_jobs_root=PurePosixPath(text("image_jobs_root", "/opt/spark/jobs")),
        state_dir=path("state_dir", path("project_dir", deployed) / ".bigdata"),
        namespace=text("namespace", "default"),
        instance=text("instance", ""),
        image_registry=text("image_registry", "").rstrip("/"),
        s3_conn_id=text("s3_conn_id", "aws_default"),
        kafka_conn_id=text("kafka_conn_id", "kafka_default"),
        kubernetes_conn_id=text("kubernetes_conn_id", "kubernetes_default"),
        secret_connections=_mapping(
            "secret_connections",
            text("secret_connections", '{"aws-credentials": "aws_default", "kafka-credentials": "kafka_default"}'),
        ),
        history_server_url=text("history_server_url", ""),
        driver_log_url=text("driver_log_url", ""),
        kafka_port=_port("kafka_port", text("kafka_port", "0")),
        kafka_brokers=_brokers(text("kafka_brokers", "0")),
        s3_port=_port("s3_port", text("s3_port", "0")),
        ivy_settings=text("ivy_settings", ""),
    )


def _runtime(value: str) -> RuntimeName:
    try:
        return RuntimeName(value)
    except ValueError:
        raise ConfigError(f"[{SECTION}] runtime = {value!r}: must be one of {', '.join(RuntimeName)}") from None


def _port(key: str, value: str) -> int:
    if value.isdigit() and 0 <= int(value) <= 65535:
        return int(value)
    raise ConfigError(f"[{SECTION}] {key} = {value!r}: must be a port, or 0 for any free one")


def _brokers(value: str) -> int:
    if value in ("0", "1", "3"):
        return int(value)
    raise ConfigError(f"[{SECTION}] kafka_brokers = {value!r}: must be 1 or 3, or 0 for as many as run, else 1")


def _mapping(key: str, value: str) -> dict[str, str]:
    try:
        found = json.loads(value)
    except json.JSONDecodeError as error:
        raise ConfigError(f"[{SECTION}] {key}: not JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
        raise ConfigError(f"[{SECTION}] {key}: must be a JSON object of strings, found {value}")
    return found
