"""Airflow's connections to the embedded stack, in ``<state_dir>/connections.json`` for its LocalFilesystemBackend.

The file is replaced whole; connections that others put there stay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bigdata.errors import ConfigError
from bigdata.local.files import write_whole
from bigdata.local.ports import HOST
from bigdata.settings import Settings

# The service checks no signature, but clients want something to sign with. Airflow masks it wherever it meets it in a
# log, so it must not be a word that has other uses, such as a folder's name.
_S3_USER = "bigdata"
_S3_SECRET = "no-secret-on-loopback"
_REGION = "us-east-1"
_MODE = 0o600


def connections_path(state_dir: Path) -> Path:
    """Where the file lies."""
    return state_dir / "connections.json"


def ensure_connections(state_dir: Path) -> Path:
    """The file, made empty if missing: the backend fails at every look-up when there is none."""
    path = connections_path(state_dir)
    if not path.exists():
        write_whole(path, "{}\n", _MODE)
    return path


def write_connections(settings: Settings, ports: Mapping[str, int]) -> None:
    """Point the S3 and Kafka connections to these ports; a service without port keeps what is there.

    :param ports: by service; all whose name begins with ``kafka`` are brokers of the one cluster.
    :raises ConfigError: when the file is there and is no JSON object; it is left as it is.
    """
    path = connections_path(settings.state_dir)
    before = _read(path)
    after = dict(before or {})
    if port := ports.get("s3"):
        after[settings.s3_conn_id] = _s3(port)
    if brokers := [port for name, port in ports.items() if name.startswith("kafka") and port]:
        after[settings.kafka_conn_id] = _kafka(brokers)
    if after != before:
        write_whole(path, json.dumps(after, indent=2) + "\n", _MODE)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: not JSON: {error}. Correct it, or delete it to have it made anew") from None
    if not isinstance(found, dict):
        raise ConfigError(
            f"{path}: must be a JSON object of connections. Correct it, or delete it to have it made anew"
        )
    return found


def _s3(port: int) -> dict[str, Any]:
    return {
        "conn_type": "aws",
        "login": _S3_USER,
        "password": _S3_SECRET,
        "extra": {
            "endpoint_url": f"http://{HOST}:{port}",
            "region_name": _REGION,
            "config_kwargs": {"s3": {"addressing_style": "path"}},
        },
    }


def _kafka(ports: Sequence[int]) -> dict[str, Any]:
    servers = ",".join(f"{HOST}:{port}" for port in ports)
    return {"conn_type": "kafka", "host": HOST, "port": ports[0], "extra": {"bootstrap.servers": servers}}
