import os
import subprocess
import sys
from pathlib import Path

import pytest

from bigdata import settings
from bigdata.errors import ConfigError
from bigdata.settings import RuntimeName


def test_airflow_and_the_command_line_see_the_same():
    loaded = settings.load()
    assert settings.from_environment(loaded.project_dir) == loaded


def test_defaults_follow_the_project(tmp_path):
    found = settings.from_environment(tmp_path, {})
    assert found.state_dir == tmp_path / ".bigdata"
    assert found.jobs_root == tmp_path / "spark_jobs"
    assert found.runtime is RuntimeName.LOCAL


def test_the_environment_wins_over_the_file_of_the_projects_airflow(tmp_path):
    home = tmp_path / ".bigdata" / "airflow"
    home.mkdir(parents=True)
    (home / "airflow.cfg").write_text("[core]\nx = 100%\n[bigdata]\nkafka_port = 9092\ns3_port = 9000\n")
    found = settings.from_environment(tmp_path, {"AIRFLOW__BIGDATA__S3_PORT": "9999"})
    assert (found.kafka_port, found.s3_port) == (9092, 9999)


@pytest.mark.parametrize("port", ["http", "-1", "65536"])
def test_a_port_that_is_none_is_named(tmp_path, port):
    with pytest.raises(ConfigError, match="kafka_port"):
        settings.from_environment(tmp_path, {"AIRFLOW__BIGDATA__KAFKA_PORT": port})


def test_a_damaged_file_is_named(tmp_path):
    home = tmp_path / ".bigdata" / "airflow"
    home.mkdir(parents=True)
    (home / "airflow.cfg").write_text("no section\n")
    with pytest.raises(ConfigError, match=r"airflow\.cfg"):
        settings.from_environment(tmp_path, {})


def checkout(folder: Path) -> Path:
    for name in ("dags/deep", "spark_jobs"):
        (folder / name).mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    return folder


def test_a_dag_has_its_jobs_from_its_own_checkout(tmp_path, monkeypatch):
    """Each version of a DAG bundle is one; what is made at run time is not in it."""
    monkeypatch.delenv("AIRFLOW__BIGDATA__PROJECT_DIR", raising=False)
    monkeypatch.delenv("AIRFLOW__BIGDATA__STATE_DIR", raising=False)
    deployed, version = settings.load(), checkout(tmp_path / "bundle" / "versions" / "1a2b")
    found = settings.load(version / "dags" / "deep" / "a_dag.py")
    assert (found.project_dir, found.jobs_root) == (version, version / "spark_jobs")
    assert found.state_dir == deployed.state_dir
    assert settings.load(tmp_path / "a_dag.py") == deployed
    monkeypatch.setenv("AIRFLOW__BIGDATA__PROJECT_DIR", str(tmp_path))
    assert settings.load(version / "dags" / "a_dag.py").jobs_root == tmp_path / "spark_jobs"


def test_a_project_is_found_from_anywhere_in_it(tmp_path):
    checkout(tmp_path)
    assert settings.find_project(tmp_path / "dags" / "deep") == tmp_path
    assert settings.find_project(Path("/")) is None


def test_the_runtime_comes_from_airflows_file_or_the_environment(tmp_path):
    """As a deployment has it: a process of its own, so that Airflow reads its file for the first time."""
    (tmp_path / "airflow.cfg").write_text("[bigdata]\nruntime = kubernetes\n")
    program = "from bigdata.settings import load; print('runtime:', load().runtime)"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    clean["AIRFLOW_HOME"] = str(tmp_path)

    def runtime(**more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program], env=clean | more, capture_output=True, text=True, check=False
        )
        return done.stdout.strip().rpartition("runtime: ")[2] or done.stderr.strip().splitlines()[-1]

    assert runtime() == "kubernetes"
    assert runtime(AIRFLOW__BIGDATA__RUNTIME="native") == "native"
    assert "[bigdata] runtime = 'docker': must be one of" in runtime(AIRFLOW__BIGDATA__RUNTIME="docker")


@pytest.mark.parametrize("value", ["2", "three", "-1"])
def test_one_or_three_brokers(tmp_path, value):
    environ = {"AIRFLOW__BIGDATA__KAFKA_BROKERS": value}
    with pytest.raises(ConfigError, match=f"kafka_brokers = '{value}': must be 1 or 3"):
        settings.from_environment(tmp_path, environ)
