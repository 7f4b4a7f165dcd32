"""A ScheduledSparkApplication as a task: put on the cluster, changed in place, refused in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bigdata.errors import SubmitError
from bigdata.kubernetes.resources import Resources
from bigdata.spark.kubernetes.schedules import SCHEDULED, apply
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load
from bigdata.spark.naming import TaskTry

from .operated import NAMESPACE, PI, Bench

pytestmark = pytest.mark.cluster


@pytest.fixture
def schedules(bench: Bench) -> Iterator[Resources]:
    found = Resources(bench.settings.api_client, SCHEDULED, NAMESPACE)
    yield found
    for item in found.select(""):
        found.delete(item["metadata"]["name"])


def schedule(when: str = "0 3 * * *", task: str = "nightly", **spec: Any) -> Application:
    body = {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "ScheduledSparkApplication",
        "metadata": {"name": "nightly"},
        "spec": {"schedule": when, "template": load(PI).spec, **spec},
    }
    return load(body).with_labels(TaskTry("cluster", task, "").task_labels)


def test_it_is_created_once_and_changed_in_place(bench: Bench, schedules: Resources) -> None:
    client = bench.settings.api_client
    for when, said in (("0 3 * * *", "Created"), ("0 3 * * *", "Unchanged"), ("0 4 * * *", "Changed")):
        result = apply(client, schedule(when), NAMESPACE, 30, bench.lines.append)
        assert bench.lines[-2].startswith(said)
        assert (result["name"], result["schedule"]) == ("nightly", when)
        assert result["next_run"]
    (found,) = schedules.select("")
    assert found["spec"]["schedule"] == "0 4 * * *"


def test_a_schedule_that_is_none_is_told(bench: Bench, schedules: Resources) -> None:
    with pytest.raises(SubmitError, match="nightly.*refuse.*"):
        apply(bench.settings.api_client, schedule("every other moon"), NAMESPACE, 30, bench.lines.append)


def test_the_name_of_another_task_is_left_alone(bench: Bench, schedules: Resources) -> None:
    apply(bench.settings.api_client, schedule(), NAMESPACE, 30, bench.lines.append)
    with pytest.raises(SubmitError, match="exists and is not of this task"):
        apply(bench.settings.api_client, schedule("0 5 * * *", "thief"), NAMESPACE, 30, bench.lines.append)
    (found,) = schedules.select("")
    assert found["spec"]["schedule"] == "0 3 * * *"
