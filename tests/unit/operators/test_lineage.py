"""Where the parent's facts are not added to an application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bigdata.operators.lineage import with_parent
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load

CONTEXT: Any = {}


@pytest.fixture
def application() -> Application:
    return load(Path(__file__).parents[3] / "spark_jobs" / "spark_pi.yaml")


def test_nobody_wants_them(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", '{"type": "console"}')
    assert with_parent(application, CONTEXT, False) is application


def test_there_is_no_transport(application: Application) -> None:
    assert with_parent(application, CONTEXT, None) is application


def test_a_manifest_that_names_a_parent_keeps_it(application: Application) -> None:
    mine = application.with_spec(sparkConf={"spark.openlineage.parentJobName": "mine"})
    assert with_parent(mine, CONTEXT, True) is mine
