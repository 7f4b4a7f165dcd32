"""Applications by the Spark operator on a real cluster, waited on by their own state; after each, nothing is left."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest

from bigdata.errors import ApplicationFailed, ApplicationGone, ClusterError, SubmitError
from bigdata.kubernetes.resources import Kind, Resources
from bigdata.spark.naming import TaskTry
from bigdata.spark.runtime import State

from .operated import NAMESPACE, Bench, application, until

pytestmark = pytest.mark.cluster


def test_a_run_from_first_to_last_state(bench: Bench) -> None:
    outcome = bench.run(application())
    outcome.check("job")
    assert bench.raw()[0] == "NEW"
    assert bench.raw()[-3:] in (["SUBMITTED", "RUNNING", "COMPLETED"], ["RUNNING", "SUCCEEDING", "COMPLETED"])
    assert [line for line in bench.lines if line.startswith("mounted:")] == ["mounted: ['job.py'] 185"]
    assert outcome.driver_pod.endswith("-driver")
    assert outcome.application_id.startswith("spark-")
    assert outcome.exit_code == 0
    assert sum(outcome.executors.values()) == 1
    assert outcome.seconds["RUNNING"] > 1
    assert outcome.to_dict()["driver_pod"] == outcome.driver_pod


def test_an_exception_of_the_job_is_the_reason(bench: Bench) -> None:
    with pytest.raises(ApplicationFailed, match="ValueError: the passengers are missing") as caught:
        bench.run(application("fail")).check("job")
    assert caught.value.state == "FAILED"
    assert any('raise ValueError("the passengers' in line for line in caught.value.last_lines)


@pytest.mark.parametrize("raw", ["NEW", "SUBMITTED", "RUNNING"])
def test_a_cancel_leaves_nothing_in_any_state(bench: Bench, core: Any, raw: str) -> None:
    runtime = bench.runtime
    handle = runtime.submit(application("wait"))
    until(handle, runtime, raw)
    runtime.cancel(handle)
    assert bench.resources.select("") == []
    assert not [pod for pod in core.list_namespaced_pod(NAMESPACE).items if pod.metadata.name.startswith(handle.name)]
    runtime.cancel(handle)


def test_an_application_that_somebody_deletes_is_told(bench: Bench) -> None:
    def delete(state: State) -> None:
        if state.raw == "RUNNING":
            (found,) = bench.resources.select("")
            bench.resources.delete(found["metadata"]["name"])

    with pytest.raises(ApplicationGone, match="somebody deleted the SparkApplication"):
        bench.run(application("wait"), delete).check("job")


def test_a_driver_pod_that_is_deleted_fails_the_application(bench: Bench, core: Any) -> None:
    def delete(state: State) -> None:
        if state.raw == "RUNNING":
            (found,) = bench.resources.select("")
            core.delete_namespaced_pod(found["status"]["driverInfo"]["podName"], NAMESPACE, grace_period_seconds=0)

    with pytest.raises(ApplicationFailed):
        bench.run(application("wait"), delete).check("job")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            {"image": "nowhere.invalid/none:1"},
            r"did not start within 20 s: the image nowhere\.invalid/none:1 cannot be",
        ),
        ({"image": "Not A Name"}, "no valid name of an image|Not A Name|invalid reference"),
        ({"driver": {"serviceAccount": "nobody"}}, "nobody"),
    ],
    ids=["image that is nowhere", "name that is none", "service account that does not exist"],
)
def test_a_driver_that_cannot_start_is_told_why(bench: Bench, spec: dict[str, Any], why: str) -> None:
    bench.settings = replace(bench.settings, startup_timeout=20)
    begun = time.monotonic()
    with pytest.raises(ApplicationFailed, match=why):
        bench.run(application("show", **spec)).check("job")
    assert time.monotonic() - begun < 60


def test_a_failure_comes_with_the_pods_warnings_and_the_executors_ends(bench: Bench) -> None:
    bench.settings = replace(bench.settings, startup_timeout=20)
    with pytest.raises(ApplicationFailed):
        bench.run(application("show", image="nowhere.invalid/none:1")).check("job")
    assert [line for line in bench.lines if "-driver: Failed" in line and line.startswith("Event of pod")], bench.lines

    bench.lines.clear()
    with pytest.raises(ApplicationFailed):
        bench.run(application("lose", sparkConf={"spark.executor.maxNumFailures": "1"})).check("job")
    told = "\n".join(line for line in bench.lines if "xecutor" in line)
    assert re.search(r"^Executor \d+ was lost: .*exit code (9|137)\b", told, re.MULTILINE), told


def test_without_get_logs_the_log_is_not_shown_and_the_end_still_told(bench: Bench) -> None:
    bench.settings = replace(bench.settings, driver_log=False)
    with pytest.raises(ApplicationFailed, match="ExitCode: 1"):
        bench.run(application("fail")).check("job")
    assert [line for line in bench.lines if "SparkApplication" not in line] == []


def test_a_namespace_that_the_operator_does_not_watch_is_named(bench: Bench, core: Any) -> None:
    name = f"unwatched-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    bench.settings = replace(bench.settings, startup_timeout=5)
    try:
        with pytest.raises(ApplicationFailed, match=f"did not take it up within 5 s: does it run, and watch.* {name}"):
            bench.run(application().with_namespace(name)).check("job")
    finally:
        core.delete_namespace(name)


def test_refusals_say_what_to_do(bench: Bench, api_client: Any) -> None:
    with pytest.raises(SubmitError, match='namespaces "nowhere" not found: create it, or name another'):
        bench.runtime.submit(application().with_namespace("nowhere"))
    unknown = Kind("example.org", "v1", "Thing", "things")
    with pytest.raises(ClusterError, match=r"things\.example\.org .*does not know this kind: install the operator"):
        Resources(api_client, unknown, NAMESPACE).select("")
    named = TaskTry("cluster", "mine", uuid.uuid4().hex)
    handle = bench.runtime.submit(application("wait", named))
    thief = application("wait", TaskTry("cluster", "thief", "x")).with_name(named.name)
    with pytest.raises(SubmitError, match="exists and is not of this task"):
        bench.runtime.submit(thief)
    bench.runtime.cancel(handle)
