import json
from pathlib import Path

import pytest

from bigdata import settings
from bigdata.errors import ConfigError
from bigdata.local.connections import ensure_connections, write_connections


@pytest.fixture
def project(tmp_path):
    return settings.from_environment(tmp_path, {})


def read(tmp_path: Path) -> dict:
    return json.loads((tmp_path / ".bigdata" / "connections.json").read_text())


def test_both_connections_point_to_the_ports(project, tmp_path):
    write_connections(project, {"kafka": 19092, "s3": 19000})
    found = read(tmp_path)
    assert found["kafka_default"]["extra"] == {"bootstrap.servers": "127.0.0.1:19092"}
    assert found["aws_default"]["extra"]["endpoint_url"] == "http://127.0.0.1:19000"
    assert found["aws_default"]["extra"]["config_kwargs"] == {"s3": {"addressing_style": "path"}}


def test_the_names_of_the_connections_are_settings(tmp_path):
    environ = {"AIRFLOW__BIGDATA__S3_CONN_ID": "lake", "AIRFLOW__BIGDATA__KAFKA_CONN_ID": "bus"}
    write_connections(settings.from_environment(tmp_path, environ), {"kafka": 1, "s3": 2})
    assert set(read(tmp_path)) == {"lake", "bus"}


def test_other_connections_stay_and_ours_follow_the_port(project, tmp_path):
    write_connections(project, {"kafka": 19092, "s3": 19000})
    file = tmp_path / ".bigdata" / "connections.json"
    file.write_text(json.dumps({**read(tmp_path), "mine": "postgres://db"}))
    write_connections(project, {"kafka": 20000, "s3": 0})
    found = read(tmp_path)
    assert found["mine"] == "postgres://db"
    assert found["kafka_default"]["port"] == 20000
    assert found["aws_default"]["extra"]["endpoint_url"] == "http://127.0.0.1:19000"


def test_nobody_else_can_read_the_file_and_nothing_else_is_left(project, tmp_path):
    write_connections(project, {"kafka": 19092, "s3": 19000})
    (file,) = (tmp_path / ".bigdata").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_unchanged_file_is_not_written(project, tmp_path):
    write_connections(project, {"kafka": 19092, "s3": 19000})
    before = (tmp_path / ".bigdata" / "connections.json").stat().st_ino
    write_connections(project, {"kafka": 19092, "s3": 19000})
    assert (tmp_path / ".bigdata" / "connections.json").stat().st_ino == before


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_damaged_file_is_named_and_left(project, tmp_path, text):
    file = ensure_connections(project.state_dir)
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"connections\.json: .*delete it"):
        write_connections(project, {"kafka": 19092})
    assert file.read_text() == text


def test_an_empty_file_is_made_once(project):
    file = ensure_connections(project.state_dir)
    assert file.read_text() == "{}\n"
    file.write_text('{"mine": "x://"}')
    assert ensure_connections(project.state_dir).read_text() == '{"mine": "x://"}'
