"""The jars of the Airflow image with EXTRAS=local are the locked ones; none of it needs a builder."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def spark_jars(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    file = ROOT / "docker" / "airflow" / "spark_jars.py"
    monkeypatch.syspath_prepend(str(ROOT / "docker" / "spark"))  # and the script's own goes with it
    spec = importlib.util.spec_from_file_location("airflow_spark_jars", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_jar_that_is_not_the_locked_one_is_told(spark_jars: ModuleType, tmp_path: Path) -> None:
    jar = tmp_path / "org.example_s3-1.jar"
    jar.write_bytes(b"good")
    lock = f"{hashlib.sha256(b'good').hexdigest()}  jars/s3-1.jar\n"
    assert spark_jars.unlocked([jar], lock) == []
    assert spark_jars.unlocked([jar], lock.replace("s3-1", "s3-2")) == [jar.name]
    jar.write_bytes(b"evil")
    assert spark_jars.unlocked([jar], lock) == [jar.name]


def test_the_image_looks_for_them_where_they_are_put() -> None:
    """``[bigdata] state_dir`` is ``.bigdata`` beside the DAGs, in Airflow's home."""
    dockerfile = (ROOT / "docker" / "airflow" / "Dockerfile").read_text()
    assert "spark_jars.py /out/.bigdata ;;" in dockerfile
    assert "COPY --from=jars --chown=50000:0 /out/ /opt/airflow/\n" in dockerfile
    assert "dags/ /opt/airflow/dags/\n" in dockerfile
