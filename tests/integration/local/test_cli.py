"""The command as a user types it, in a checkout of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bigdata import cli
from bigdata.local import ports
from bigdata.settings import Settings

pytestmark = pytest.mark.integration


def test_up_status_logs_down(
    own_settings: Settings,
    own_stack: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    for name in ("dags", "spark_jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "pyproject.toml").touch()
    for key in [key for key in os.environ if key.startswith("AIRFLOW")]:
        monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path / "dags")

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["local", *arguments])
        return code, *capsys.readouterr()

    port = ports.free_port(21000)
    code, out, _ = run("up", "--s3-port", str(port))
    assert code == 0
    assert f"s3: up at http://127.0.0.1:{port}" in out
    code, out, _ = run("up", "--s3-port", str(port))
    assert (code, out.startswith("already up: kafka at 127.0.0.1:")) == (0, True)

    code, out, _ = run("status", "--json")
    assert code == 0
    assert [(found["name"], found["state"]) for found in json.loads(out)] == [("kafka", "up"), ("s3", "up")]
    code, out, _ = run("logs", "-n", "500")
    assert "Kafka Server started" in out
    assert "Started S3MockApplication" in out

    code, out, _ = run("down")
    assert (code, out) == (0, "kafka: stopping\ns3: stopping\n")
    assert run("status")[0] == 1
    assert run("down") == (0, "", "")
