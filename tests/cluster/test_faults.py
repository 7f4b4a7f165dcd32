"""What can go wrong between Airflow and the cluster, each provoked for real in a whole Airflow.

After each: there never was more than one application at a time for a task, as many in all as there should be, the
task's state is right, and nothing of ours is left.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from bigdata.spark.naming import OURS

from ..airflow_api import Api, Run
from ..airflow_parts import Airflow
from ..waiting import soon
from .dags.faults import LONG
from .line import Line
from .operated import NAMESPACE, Bench, application
from .witness import Witness

pytestmark = pytest.mark.cluster


def reach(witness: Witness, raw: str, seconds: float = 90) -> None:
    assert soon(lambda: witness.raw() == raw, seconds), witness.raw()


def deferred(run: Run, count: int = 1) -> bool:
    return [task["state"] for task in run.tasks()] == ["deferred"] * count


def one_task(run: Run) -> tuple[str, int]:
    (task,) = run.tasks()
    return task["state"], task["try_number"]


def test_a_worker_killed_between_create_and_deferral(api: Api, witness: Witness) -> None:
    run = api.trigger("dies")
    assert run.wait() == "success", run.log("job", 2)
    assert one_task(run) == ("success", 2)
    assert len(witness.uids) == 1
    assert "of try 1" in run.log("job", 2)


def test_a_worker_killed_while_it_waits(api: Api, airflow: Airflow, witness: Witness) -> None:
    run = api.trigger("plain", {"what": "slow"})
    reach(witness, "RUNNING")
    for pid in (airflow.home / "pids").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    assert run.wait() == "success", run.log("job", 2)
    assert one_task(run) == ("success", 2)
    assert len(witness.uids) == 1


@pytest.mark.parametrize("part", ["triggerer", "scheduler"])
def test_a_part_of_airflow_killed_while_the_task_is_deferred(
    api: Api, airflow: Airflow, witness: Witness, part: str
) -> None:
    run = api.trigger("deferred", {"what": "slow"})
    reach(witness, "RUNNING")
    airflow.kill(part)
    time.sleep(3)
    airflow.begin(part)
    assert run.wait() == "success", run.log("job")
    assert one_task(run) == ("success", 1)
    assert len(witness.uids) == 1


@pytest.mark.parametrize("dag_id", ["plain", "deferred"])
def test_an_api_server_that_is_away_for_30_seconds(api: Api, line: Line, witness: Witness, dag_id: str) -> None:
    run = api.trigger(dag_id, {"what": "slow"})
    reach(witness, "RUNNING")
    assert dag_id == "plain" or soon(lambda: deferred(run), 20)
    line.cut()
    try:
        time.sleep(30)
    finally:
        line.mend()
    assert run.wait() == "success", run.log("job")
    assert one_task(run) == ("success", 1)
    assert len(witness.uids) == 1
    assert run.log("job").count("done") == 1


def test_a_spark_operator_that_is_restarted(api: Api, core: Any, witness: Witness) -> None:
    selector = "app.kubernetes.io/name=spark-operator,app.kubernetes.io/component=controller"
    before = core.list_pod_for_all_namespaces(label_selector=selector).items
    if not before:
        pytest.skip("the Spark operator's pod is not on this cluster, or has other labels")
    run = api.trigger("deferred", {"what": "slow"})
    reach(witness, "RUNNING")
    for pod in before:
        core.delete_namespaced_pod(pod.metadata.name, pod.metadata.namespace, grace_period_seconds=0)
    assert run.wait() == "success", run.log("job")
    assert len(witness.uids) == 1
    after = core.list_pod_for_all_namespaces(label_selector=selector).items
    assert {pod.metadata.uid for pod in after}.isdisjoint(pod.metadata.uid for pod in before)


@pytest.mark.parametrize("dag_id", ["late_plain", "late_deferred"])
@pytest.mark.parametrize(
    ("conf", "raw"), [({"image": "nowhere.invalid/none:1"}, "SUBMITTED"), ({"what": "wait"}, "RUNNING")]
)
def test_an_execution_timeout(api: Api, witness: Witness, dag_id: str, conf: dict[str, str], raw: str) -> None:
    run = api.trigger(dag_id, conf)
    reach(witness, raw)
    assert run.wait(90) == "failed"
    assert one_task(run) == ("failed", 1)
    assert soon(lambda: witness.raw() == "none", 20)
    assert len(witness.uids) == 1


def test_a_task_cleared_and_then_marked_failed_while_deferred(api: Api, witness: Witness) -> None:
    run = api.trigger("deferred", {"what": "wait"})
    reach(witness, "RUNNING")
    assert soon(lambda: deferred(run), 20)
    run.clear()
    assert soon(lambda: len(witness.uids) == 2, 60)
    reach(witness, "RUNNING")
    assert soon(lambda: deferred(run), 20)
    run.mark("job", "failed")
    assert soon(lambda: witness.raw() == "none", 60)
    assert run.wait() == "failed"
    assert (witness.most, witness.most_drivers) == (1, 1)


def test_a_task_marked_failed_while_its_worker_waits(api: Api, witness: Witness) -> None:
    run = api.trigger("plain", {"what": "wait"})
    reach(witness, "RUNNING")
    run.mark("job", "failed")
    assert soon(lambda: witness.raw() == "none", 60)
    assert run.wait() == "failed"
    assert len(witness.uids) == 1


def test_long_names_with_driver_in_them_and_two_map_indexes_at_once(api: Api, witness: Witness) -> None:
    assert len(LONG) == 60
    run = api.trigger(LONG)
    assert run.wait() == "success"
    assert [task["state"] for task in run.tasks()] == ["success", "success"]
    assert len(witness.uids) == 2


def test_a_driver_pod_that_is_deleted(api: Api, bench: Bench, core: Any, witness: Witness) -> None:
    run = api.trigger("deferred_once", {"what": "wait"})
    reach(witness, "RUNNING")
    (found,) = bench.resources.select(OURS)
    core.delete_namespaced_pod(found["status"]["driverInfo"]["podName"], NAMESPACE, grace_period_seconds=0)
    assert run.wait() == "failed"
    assert one_task(run) == ("failed", 1)
    assert "ApplicationFailed: deferred-once-job-" in run.log("job")
    assert len(witness.uids) == 1


def test_an_application_that_is_deleted_by_hand(api: Api, bench: Bench, witness: Witness) -> None:
    run = api.trigger("deferred_once", {"what": "wait"})
    reach(witness, "RUNNING")
    assert soon(lambda: deferred(run), 20)
    (found,) = bench.resources.select(OURS)
    bench.resources.delete(found["metadata"]["name"])
    assert run.wait() == "failed"
    assert one_task(run) == ("failed", 1)
    assert "somebody deleted the SparkApplication" in run.log("job")
    assert len(witness.uids) == 1


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        ({"image": "nowhere.invalid/none:1"}, "the image nowhere.invalid/none:1 cannot be pulled"),
        ({"account": "nobody"}, 'serviceaccount "nobody" not found'),
    ],
)
def test_a_driver_that_cannot_start(api: Api, witness: Witness, conf: dict[str, str], why: str) -> None:
    run = api.trigger("deferred_once", conf)
    assert run.wait() == "failed"
    assert one_task(run) == ("failed", 1)
    assert why in run.log("job")
    assert soon(lambda: witness.raw() == "none", 20)
    assert len(witness.uids) == 1


def test_an_executor_pod_that_is_deleted_is_replaced(bench: Bench, core: Any, witness: Witness) -> None:
    gone: list[str] = []

    slow = application("slow")

    def running() -> list[str]:
        """Its executors, and none that an earlier test has left; one that is pending is not in its status yet."""
        selector = f"spark-role=executor,sparkoperator.k8s.io/app-name={slow.name}"
        pods = core.list_namespaced_pod(NAMESPACE, label_selector=selector).items
        return [pod.metadata.name for pod in pods if pod.status.phase == "Running"]

    def delete(state: Any) -> None:
        if state.raw == "RUNNING" and not gone:
            assert soon(running, 60)
            (name,) = running()
            core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)
            gone.append(name)

    outcome = bench.run(slow, delete)
    outcome.check("job")
    assert gone
    assert sum(outcome.executors.values()) == 2
    assert len(witness.uids) == 1
