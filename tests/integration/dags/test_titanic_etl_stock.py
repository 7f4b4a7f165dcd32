"""The comparison with the provider's operator where there is no cluster: nothing runs, and the log says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.integration


def test_it_is_skipped_where_no_cluster_answers(run_dag: Callable[..., Any]) -> None:
    run = run_dag("titanic_etl_stock")
    assert run.state == "success"
    assert run.tasks.pop("cluster_answers") == "success"
    assert run.tasks == dict.fromkeys(("land", "transform", "quality", "report"), "skipped")
    assert "No cluster by connection kubernetes_default" in run.log
