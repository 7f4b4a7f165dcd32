"""The environment in which Airflow runs this project on a laptop: all under one folder, nothing in ``~/airflow``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bigdata import settings
from bigdata.local.connections import ensure_connections
from bigdata.local.ports import HOST


def airflow_environment(project_dir: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables to set for Airflow; the file of connections is made if missing, so that a look-up before ``up`` works.

    :param project_dir: the checkout.
    :param environ: what is set already; default: the environment of this process. Its choice of runtime is kept, its
        paths and its database are not: they belong to some other Airflow.
    """
    before = dict(os.environ if environ is None else environ)
    before["AIRFLOW__BIGDATA__PROJECT_DIR"] = str(project_dir)
    state_dir = settings.from_environment(project_dir, before).state_dir
    home = state_dir / "airflow"
    secrets = {"connections_file_path": str(ensure_connections(state_dir))}
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project_dir / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        # Else every look-up of a connection warns that its addressing style, "path", is too short a secret to mask.
        "AIRFLOW__LOGGING__MIN_LENGTH_MASKED_SECRET": "4",
        # Asset watchers that share a consumer have so long to come before it reads the first message.
        "AIRFLOW__TRIGGERER__SHARED_STREAM_COHORT_GRACE_PERIOD": "5",
        "AIRFLOW__API__HOST": HOST,
        # Workers take the same one, as [workers] secrets_backend is not set.
        "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps(secrets),
        "AIRFLOW__BIGDATA__PROJECT_DIR": str(project_dir),
        "PATH": _with_venv(before.get("PATH", "")),
    }


def _with_venv(path: str) -> str:
    """The programs of this Python first: ``airflow``, ``bigdata`` and ``spark-submit`` of the same installation."""
    venv = str(Path(sys.prefix) / "bin")
    return os.pathsep.join([venv, *(entry for entry in path.split(os.pathsep) if entry and entry != venv)])
