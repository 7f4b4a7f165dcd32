"""Which try an application belongs to: what a dead try left is taken over or deleted, and what is kept is bounded.

Where nothing needs to run, no operator watches the namespace, and the test writes the states as the operator would.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bigdata.spark.kubernetes.runtime import OperatorHandle, OperatorSettings
from bigdata.spark.kubernetes.tries import DEFERRED, SEEN
from bigdata.spark.naming import OURS, TRY, TaskTry
from bigdata.spark.runtime import Phase

from .operated import Bench, application, until
from .statuses import emptied, set_state

pytestmark = pytest.mark.cluster


@pytest.fixture
def run_id() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def still(api_client: Any, namespace: str) -> Iterator[Bench]:
    """In a namespace that no operator watches."""
    bench = Bench(OperatorSettings(api_client, namespace, startup_timeout=120))
    with emptied(bench.resources):
        yield bench


@pytest.fixture
def kept(still: Bench) -> Bench:
    still.settings = replace(still.settings, delete_on_termination=False, keep_succeeded=1)
    return still


def tried(run_id: str, number: int = 1, **spec: Any) -> Any:
    return application("wait", TaskTry("cluster", "tries", run_id, try_number=number), **spec)


def submit(bench: Bench, submitted: Any, state: str = "") -> OperatorHandle:
    """Submit it, and bring it to a state as the operator does."""
    handle = bench.runtime.submit(submitted)
    if state:
        set_state(bench.resources, handle.name, state)
    return handle


def names(bench: Bench) -> set[str]:
    return {item["metadata"]["name"] for item in bench.resources.select(OURS)}


def test_a_process_that_died_after_the_create_finds_its_application_again(still: Bench, run_id: str) -> None:
    first = submit(still, tried(run_id))
    second = submit(still, tried(run_id))
    assert (second.name, second.uid) == (first.name, first.uid)
    assert still.lines[0].startswith("Created SparkApplication")
    assert "of try 1" in still.lines[-1]


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


def test_what_the_triggerer_waits_for_is_not_taken_over(still: Bench, run_id: str) -> None:
    """As when a deferred task is cleared: a triggerer that dies goes on with the same try."""
    first = submit(still, tried(run_id), "RUNNING")
    still.resources.patch(first.name, DEFERRED)
    assert submit(still, tried(run_id)).uid == first.uid
    second = submit(still, tried(run_id, 2))
    assert second.uid != first.uid
    assert names(still) == {second.name}


def test_a_success_that_nobody_saw_is_taken_and_a_failure_is_not(still: Bench, run_id: str) -> None:
    first = submit(still, tried(run_id), "COMPLETED")
    second = submit(still, tried(run_id, 2))
    assert second.uid == first.uid
    (*_, last) = still.runtime.observe(second)
    assert last.phase == Phase.SUCCEEDED
    still.runtime.cancel(second)

    failed = submit(still, tried(run_id, 3), "FAILED")
    again = submit(still, tried(run_id, 4))
    assert again.uid != failed.uid
    assert names(still) == {again.name}


def test_a_success_that_was_seen_belongs_to_nobody_else(still: Bench, run_id: str) -> None:
    """As after a triggerer that died when the task had ended, before it could delete the application."""
    first = submit(still, tried(run_id), "COMPLETED")
    still.resources.patch(first.name, SEEN)
    second = submit(still, tried(run_id, 2))
    assert second.uid != first.uid
    assert names(still) == {second.name}


def test_another_spec_or_another_task_is_not_taken_over(still: Bench, run_id: str) -> None:
    submit(still, tried(run_id))
    other = submit(still, application("wait", TaskTry("cluster", "tries", run_id, map_index=1)))
    elsewhere = submit(still, application("wait", TaskTry("cluster", "tries", run_id, instance="staging")))
    second = submit(still, tried(run_id, 2, sparkConf={"spark.ui.enabled": "false"}))
    assert names(still) == {other.name, elsewhere.name, second.name}


def test_without_reattach_it_is_made_anew(still: Bench, run_id: str) -> None:
    first = submit(still, tried(run_id))
    still.settings = replace(still.settings, reattach=False)
    second = submit(still, tried(run_id))
    third = submit(still, tried(run_id, 2))
    assert second.name == first.name
    assert len({first.uid, second.uid, third.uid}) == 3
    assert names(still) == {third.name}


def test_under_a_given_name_a_failure_that_is_kept_makes_room_for_the_next_try(kept: Bench, run_id: str) -> None:
    first = submit(kept, tried(run_id, 1).with_name("given"), "FAILED")
    kept.runtime.cancel(first)
    assert names(kept) == {"given"}
    second = submit(kept, tried(run_id, 2).with_name("given"))
    assert second.uid != first.uid
    assert names(kept) == {"given"}


def test_of_those_that_are_kept_only_the_newest_successes_stay(kept: Bench) -> None:
    ended: list[OperatorHandle] = []
    for _ in range(2):
        handle = submit(kept, tried(uuid.uuid4().hex), "COMPLETED")
        kept.runtime.cancel(handle)
        ended.append(handle)
        time.sleep(1.1)  # ages are in whole seconds
    assert names(kept) == {ended[1].name}
    # It was kept on purpose, and has nothing to do with a new run of the task.
    again = submit(kept, tried(uuid.uuid4().hex, 2))
    assert again.uid != ended[1].uid
    kept.runtime.cancel(again)
    assert names(kept) == {ended[1].name}
