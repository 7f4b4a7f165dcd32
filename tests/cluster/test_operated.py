"""Applications by the Spark operator on a real cluster, waited on by their own state; after each, nothing is left."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bigdata.errors import ApplicationFailed, ApplicationGone, ClusterError, SubmitError
from bigdata.kubernetes.resources import Kind, Resources
from bigdata.spark.application import Application
from bigdata.spark.manifest import load
from bigdata.spark.naming import TaskTry
from bigdata.spark.operated import SPARK_APPLICATION, OperatorHandle, OperatorRuntime, OperatorSettings
from bigdata.spark.runtime import Outcome, Phase, State, run

from .conftest import IMAGE, left, soon

pytestmark = pytest.mark.cluster

PI = Path(__file__).parents[2] / "spark_jobs" / "spark_pi.yaml"
JOB = Path(__file__).parent / "job.py"
# The chart of the Spark operator watches this one, unless told otherwise.
NAMESPACE = os.environ.get("SPARK_OPERATOR_NAMESPACE", "default")


@dataclass
class Bench:
    """A runtime and what it told."""

    settings: OperatorSettings
    lines: list[str] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    @property
    def runtime(self) -> OperatorRuntime:
        return OperatorRuntime(self.settings, self.lines.append)

    @property
    def resources(self) -> Resources:
        return Resources(self.settings.api_client, SPARK_APPLICATION, NAMESPACE)

    def run(self, application: Application, on_state: Callable[[State], None] = lambda state: None) -> Outcome:
        def keep(state: State) -> None:
            self.states.append(state)
            on_state(state)

        return run(self.runtime, application, keep)

    def raw(self) -> list[str]:
        """The operator's states, in order, each once."""
        return list(dict.fromkeys(state.raw for state in self.states))


@pytest.fixture
def bench(api_client: Any, core: Any) -> Iterator[Bench]:
    if "SPARK_OPERATOR" not in os.environ:
        pytest.skip("SPARK_OPERATOR is not set: say there that the cluster has the Spark operator")
    if "job" not in {item.metadata.name for item in core.list_namespaced_config_map(NAMESPACE).items}:
        body = {"metadata": {"name": "job"}, "data": {"job.py": JOB.read_text()}}
        core.create_namespaced_config_map(NAMESPACE, body)
    bench = Bench(OperatorSettings(api_client, NAMESPACE, startup_timeout=120))
    yield bench
    remaining = lambda: [*left(api_client, NAMESPACE), *bench.resources.select("")]  # noqa: E731
    assert soon(lambda: not remaining(), 60), remaining()


def application(what: str = "show", task_try: TaskTry | None = None, **spec: Any) -> Application:
    """The job as an application of a task's try."""
    mounted = {"volumeMounts": [{"name": "job", "mountPath": "/mnt/job"}]}
    named = task_try or TaskTry("cluster", "test", uuid.uuid4().hex)
    base = load(PI).with_name(named.name).with_labels(named.labels)
    return base.with_spec(
        image=IMAGE,
        mainApplicationFile="local:///mnt/job/job.py",
        arguments=[what],
        volumes=[{"name": "job", "configMap": {"name": "job"}}],
        driver=mounted,
    ).with_spec(**spec)


def until(handle: OperatorHandle, runtime: OperatorRuntime, raw: str) -> None:
    for state in runtime.observe(handle):
        if state.raw == raw:
            return
    raise AssertionError(f"it never was {raw}")


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


def test_a_process_that_died_after_the_create_finds_its_application_again(bench: Bench) -> None:
    named = TaskTry("cluster", "reattach", uuid.uuid4().hex)
    first = bench.runtime.submit(application("show", named))
    second = bench.runtime.submit(application("show", named))
    assert (second.name, second.uid) == (first.name, first.uid)
    assert bench.lines[0].startswith("Created SparkApplication")
    assert bench.lines[-1].startswith("Found SparkApplication")
    (*_, last) = bench.runtime.observe(second)
    assert last.phase == Phase.SUCCEEDED
    bench.runtime.cancel(second)


def test_without_reattach_it_is_made_anew(bench: Bench) -> None:
    named = TaskTry("cluster", "anew", uuid.uuid4().hex)
    first = bench.runtime.submit(application("wait", named))
    bench.settings = replace(bench.settings, reattach=False)
    second = bench.runtime.submit(application("wait", named))
    assert second.name == first.name
    assert second.uid != first.uid
    bench.runtime.cancel(second)


def test_the_next_try_ends_what_the_last_one_left(bench: Bench) -> None:
    run_id = uuid.uuid4().hex
    first = bench.runtime.submit(application("wait", TaskTry("cluster", "tries", run_id, try_number=1)))
    other = bench.runtime.submit(application("wait", TaskTry("cluster", "tries", run_id, map_index=1)))
    second = bench.runtime.submit(application("wait", TaskTry("cluster", "tries", run_id, try_number=2)))
    names = {item["metadata"]["name"] for item in bench.resources.select("")}
    assert names == {other.name, second.name} != {first.name}
    for handle in (other, second):
        bench.runtime.cancel(handle)


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
