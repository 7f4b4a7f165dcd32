"""Which try an application belongs to: what a dead try left is taken over or deleted, and what is kept is bounded."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bigdata.spark.kubernetes.runtime import OperatorHandle
from bigdata.spark.kubernetes.states import raw_state
from bigdata.spark.kubernetes.tries import DEFERRED, SEEN
from bigdata.spark.naming import OURS, TRY, TaskTry
from bigdata.spark.runtime import Phase

from .conftest import soon
from .operated import Bench, application, until

pytestmark = pytest.mark.cluster


@pytest.fixture
def run_id() -> str:
    return uuid.uuid4().hex


def tried(run_id: str, number: int = 1, what: str = "wait", **spec: Any) -> Any:
    return application(what, TaskTry("cluster", "tries", run_id, try_number=number), **spec)


def names(bench: Bench) -> set[str]:
    return {item["metadata"]["name"] for item in bench.resources.select(OURS)}


def test_a_process_that_died_after_the_create_finds_its_application_again(bench: Bench, run_id: str) -> None:
    first = bench.runtime.submit(tried(run_id, what="show"))
    second = bench.runtime.submit(tried(run_id, what="show"))
    assert (second.name, second.uid) == (first.name, first.uid)
    assert bench.lines[0].startswith("Created SparkApplication")
    assert "of try 1" in bench.lines[-1]
    (*_, last) = bench.runtime.observe(second)
    assert last.phase == Phase.SUCCEEDED
    bench.runtime.cancel(second)


def test_the_next_try_goes_on_with_what_a_dead_one_left(bench: Bench, run_id: str) -> None:
    first = bench.runtime.submit(tried(run_id))
    second = bench.runtime.submit(tried(run_id, 2))
    assert (second.name, second.uid) == (first.name, first.uid)
    assert "of try 1" in bench.lines[-1]
    (found,) = bench.resources.select("")
    assert found["metadata"]["labels"][TRY] == "2"
    # The operator would submit an application anew that is changed while it submits it, and fail.
    until(second, bench.runtime, "RUNNING")

    # The first try's process was only cut off, and comes to its end now.
    bench.runtime.cancel(first)
    assert names(bench) == {first.name}
    assert "belongs to a later try" in bench.lines[-1]
    bench.runtime.discard(tried(run_id, 1))
    assert names(bench) == {first.name}
    bench.runtime.discard(tried(run_id, 2))
    assert names(bench) == set()


def test_what_the_triggerer_waits_for_is_not_taken_over(bench: Bench, run_id: str) -> None:
    """As when a deferred task is cleared: a triggerer that dies goes on with the same try."""
    first = bench.runtime.submit(tried(run_id))
    until(first, bench.runtime, "RUNNING")
    bench.resources.patch(first.name, DEFERRED)
    assert bench.runtime.submit(tried(run_id)).uid == first.uid
    second = bench.runtime.submit(tried(run_id, 2))
    assert second.uid != first.uid
    assert names(bench) == {second.name}
    bench.runtime.cancel(second)


def test_a_success_that_nobody_saw_is_taken_and_a_failure_is_not(bench: Bench, run_id: str) -> None:
    first = bench.runtime.submit(tried(run_id, what="show"))
    until(first, bench.runtime, "RUNNING")
    assert soon(lambda: raw_state(bench.resources.read(first.name) or {}) == "COMPLETED", 120)
    second = bench.runtime.submit(tried(run_id, 2, "show"))
    assert second.uid == first.uid
    (*_, last) = bench.runtime.observe(second)
    assert last.phase == Phase.SUCCEEDED
    bench.runtime.cancel(second)

    failing = bench.runtime.submit(tried(run_id, 3, "fail"))
    assert soon(lambda: raw_state(bench.resources.read(failing.name) or {}) == "FAILED", 120)
    again = bench.runtime.submit(tried(run_id, 4, "fail"))
    assert again.uid != failing.uid
    assert names(bench) == {again.name}
    bench.runtime.cancel(again)


def test_under_a_given_name_a_failure_that_is_kept_makes_room_for_the_next_try(kept: Bench, run_id: str) -> None:
    first = kept.runtime.submit(tried(run_id, 1, "fail").with_name("given"))
    assert soon(lambda: raw_state(kept.resources.read("given") or {}) == "FAILED", 120)
    kept.runtime.cancel(first)
    assert names(kept) == {"given"}
    second = kept.runtime.submit(tried(run_id, 2, "fail").with_name("given"))
    assert second.uid != first.uid
    assert names(kept) == {"given"}
    kept.runtime.cancel(second)


def test_another_spec_or_another_task_is_not_taken_over(bench: Bench, run_id: str) -> None:
    first = bench.runtime.submit(tried(run_id))
    other = bench.runtime.submit(application("wait", TaskTry("cluster", "tries", run_id, map_index=1)))
    second = bench.runtime.submit(tried(run_id, 2, sparkConf={"spark.ui.enabled": "false"}))
    assert names(bench) == {other.name, second.name} != {first.name}
    for handle in (other, second):
        bench.runtime.cancel(handle)


def test_without_reattach_it_is_made_anew(bench: Bench, run_id: str) -> None:
    first = bench.runtime.submit(tried(run_id))
    bench.settings = replace(bench.settings, reattach=False)
    second = bench.runtime.submit(tried(run_id))
    third = bench.runtime.submit(tried(run_id, 2))
    assert second.name == first.name
    assert len({first.uid, second.uid, third.uid}) == 3
    assert names(bench) == {third.name}
    bench.runtime.cancel(third)


def test_a_success_that_was_seen_belongs_to_nobody_else(bench: Bench, run_id: str) -> None:
    """As after a triggerer that died when the task had ended, before it could delete the application."""
    first = bench.runtime.submit(tried(run_id, what="show"))
    assert soon(lambda: raw_state(bench.resources.read(first.name) or {}) == "COMPLETED", 120)
    bench.resources.patch(first.name, SEEN)
    second = bench.runtime.submit(tried(run_id, 2, "show"))
    assert second.uid != first.uid
    assert names(bench) == {second.name}
    bench.runtime.cancel(second)


@pytest.fixture
def kept(bench: Bench) -> Iterator[Bench]:
    bench.settings = replace(bench.settings, delete_on_termination=False, keep_succeeded=1)
    yield bench
    for item in bench.resources.select(""):
        bench.resources.delete(item["metadata"]["name"])


def test_of_those_that_are_kept_only_the_newest_successes_stay(kept: Bench) -> None:
    ended: list[OperatorHandle] = []
    for _ in range(2):
        handle = kept.runtime.submit(tried(uuid.uuid4().hex, what="show"))
        (*_, last) = kept.runtime.observe(handle)
        assert last.phase == Phase.SUCCEEDED
        kept.runtime.cancel(handle)
        ended.append(handle)
    assert soon(lambda: names(kept) == {ended[1].name}, 10)
    # It was kept on purpose, and has nothing to do with a new run of the task.
    again = kept.runtime.submit(tried(uuid.uuid4().hex, 2, "show"))
    assert again.uid != ended[1].uid
    kept.runtime.cancel(again)
    assert names(kept) == {ended[1].name}
