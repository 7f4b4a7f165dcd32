"""DAG files are light: parsing one imports no big library and opens no connection, and each tells what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DAGS = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))
HEAVY = ["pyspark", "pandas", "pandera", "pyarrow", "matplotlib", "kafka", "boto3", "botocore", "numpy"]

# Runs in a process of its own, because what pytest has imported hides what a DAG file imports.
PARSE = """
import gc, json, runpy, socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("a connection was opened at parse time: " + repr(args))

from airflow.sdk import DAG, Connection  # what every DAG file pays for, not ours
from airflow.sdk.definitions.context import Context
import airflow.providers.amazon.aws.assets.s3  # Airflow itself loads it, with boto3, for any Asset with an s3:// URI
before = set(sys.modules)
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
Connection.get = refuse
kept = runpy.run_path(sys.argv[1])
dags = [item for item in gc.get_objects() if issubclass(type(item), DAG)]
print("RESULT " + json.dumps({
    "modules": sorted({name.partition(".")[0] for name in set(sys.modules) - before}),
    "dags": [{"id": dag.dag_id, "doc": dag.doc_md, "tags": sorted(dag.tags)} for dag in dags],
}))
"""


def parse(file: Path) -> dict:
    result = subprocess.run([sys.executable, "-c", PARSE, str(file)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.rpartition("RESULT ")[2])


@pytest.mark.parametrize("file", DAGS, ids=lambda file: file.stem)
def test_a_dag_file_is_light_offline_and_documented(file: Path) -> None:
    found = parse(file)
    assert not set(found["modules"]) & set(HEAVY)
    assert [dag["id"] for dag in found["dags"]] == [file.stem], "one DAG a file, by the file's name"
    for dag in found["dags"]:
        assert dag["doc"]
        assert dag["tags"]


def test_the_check_sees_a_heavy_import_and_a_connection(tmp_path: Path) -> None:
    heavy = tmp_path / "heavy.py"
    heavy.write_text("import pyarrow\n")
    assert "pyarrow" in parse(heavy)["modules"]
    for line in ["import urllib.request; urllib.request.urlopen('http://127.0.0.1:1')", "Connection.get('x')"]:
        heavy.write_text(f"from airflow.sdk import Connection\n{line}\n")
        with pytest.raises(AssertionError, match="a connection was opened at parse time"):
            parse(heavy)


def test_the_core_imports_no_airflow() -> None:
    packages = ["spark", "kubernetes", "kafka", "local", "storage", "titanic", "cli"]
    core = [f"bigdata.{name}" for name in packages]
    script = f"""
import importlib, pkgutil, sys
for name in {core!r}:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        if found.name not in ("bigdata.titanic.tasks", "bigdata.spark.submit.guard"):
            importlib.import_module(found.name)
print(sorted(name for name in sys.modules if name == "airflow" or name.startswith("airflow.")))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr
