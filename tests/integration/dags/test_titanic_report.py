"""The small TaskFlow DAG: needs no services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.integration


def test_it_counts_the_survivors_of_the_real_list(run_dag: Callable[..., Any]) -> None:
    run = run_dag("titanic_report")
    assert run.state == "success"
    assert run.xcoms["count_survivors"] == 342
    assert run.xcoms["count_by_sex"] == {"female": 233, "male": 109}
    assert run.xcoms["say"] == "342 passengers survived, by sex: {'female': 233, 'male': 109}"


def test_a_list_that_does_not_exist_fails_the_first_task(run_dag: Callable[..., Any]) -> None:
    run = run_dag("titanic_report", source="data/none.csv")
    assert run.tasks["read_passengers"] == "failed"
    assert run.tasks["say"] == "upstream_failed"
    assert "none.csv does not exist" in run.log
