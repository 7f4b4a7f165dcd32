"""SparkPi where there is no cluster: the local run succeeds, the two others are skipped with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.integration


def test_it_runs_here_and_skips_what_needs_a_cluster(run_dag: Callable[..., Any]) -> None:
    run = run_dag("spark_pi")
    ran = ("spark_is_here", "local", "cluster_answers")
    assert run.tasks == {**dict.fromkeys(ran, "success"), "native": "skipped", "operator": "skipped"}
    assert "Pi is roughly 3.1" in run.log
    assert "No cluster by connection kubernetes_default" in run.log
