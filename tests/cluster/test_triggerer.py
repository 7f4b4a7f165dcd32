"""A success that ends its task in the triggerer of a whole Airflow, and what else is told from there."""

from __future__ import annotations

import pytest

from ..airflow_api import Api
from ..airflow_parts import Airflow
from ..waiting import soon
from .witness import Witness

pytestmark = pytest.mark.cluster


def test_a_success_ends_the_task_without_a_worker(api: Api, witness: Witness) -> None:
    run = api.trigger("deferred", {"what": "show"})
    assert run.wait() == "success", run.log("job")

    (task,) = run.tasks()
    assert (task["state"], task["try_number"]) == ("success", 1)
    log = run.log("job")
    assert log.count("mounted: ['job.py'] 185") == 1
    # A worker begins by naming the runtime or, after a deferral, by saying how the application ended.
    assert log.count("Runtime: kubernetes") == 1
    assert log.count("(COMPLETED)") == 1
    assert soon(lambda: witness.raw() == "none", 20)

    xcoms = {item["key"] for item in api.ask(f"{run.path}/taskInstances/job/xcomEntries")["xcom_entries"]}
    assert {"return_value", "pod_name", "pod_namespace"} <= xcoms
    result = api.ask(f"{run.path}/taskInstances/job/xcomEntries/return_value?deserialize=true")["value"]
    assert (result["state"], result["exit_code"]) == ("SUCCEEDED", 0)
    assert result["application_id"].startswith("spark-")
    assert result["driver_pod"].endswith("-driver")
    assert result["executors"] == {"COMPLETED": 1}
    assert result["seconds"]["RUNNING"] > 1


def test_the_links_of_a_running_task_are_there_while_it_is_deferred(api: Api, witness: Witness) -> None:
    run = api.trigger("deferred", {"what": "wait"})
    assert soon(lambda: witness.raw() == "RUNNING", 90)
    links = lambda: api.ask(f"{run.path}/taskInstances/job/links")["extra_links"]  # noqa: E731
    assert links()["Spark UI"] == "http://localhost:4040"
    assert soon(lambda: links()["Driver log"] and "kubectl port-forward" in run.log("job"), 20)
    assert links()["Driver log"].startswith("https://logs.example.org/default/deferred-job-")
    assert "kubectl port-forward --namespace default service/deferred-job-" in run.log("job")
    run.mark("job", "failed")
    assert soon(lambda: witness.raw() == "none", 30)


def test_a_trigger_that_another_triggerer_takes_leaves_the_application(
    api: Api, airflow: Airflow, witness: Witness
) -> None:
    run = api.trigger("deferred", {"what": "slow"})
    assert soon(lambda: witness.raw() == "RUNNING", 90)
    assert soon(lambda: run.tasks()[0]["state"] == "deferred", 20)
    with airflow.database() as database:
        # It looks alive for some seconds; then the trigger comes back.
        job = "insert into job (job_type, state, latest_heartbeat) values ('TriggererJob', 'running', datetime('now'))"
        database.execute("update trigger set triggerer_id = ?", (database.execute(job).lastrowid,))
    # When the trigger comes back, Airflow begins its log anew.
    assert soon(lambda: "Another triggerer waits" in run.log("job"), 10)
    assert run.wait() == "success", run.log("job")
    assert len(witness.uids) == 1


def test_a_failure_is_told_by_a_worker_with_the_drivers_log(api: Api, witness: Witness) -> None:
    run = api.trigger("deferred_once", {"what": "fail"})
    assert run.wait() == "failed"
    log = run.log("job")
    assert "raise ValueError" in log
    assert "FAILED (FAILED): ValueError: the passengers are missing" in log
    assert len(witness.uids) == 1
