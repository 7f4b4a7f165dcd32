"""What becomes of an application when Airflow ends its trigger; Kubernetes is a server of the test's own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from bigdata.links import KEYS
from bigdata.spark.kubernetes.tries import DEFERRED
from bigdata.spark.naming import TRY
from bigdata.spark.pages import FORWARDED, Page
from bigdata.triggers import deletion
from bigdata.triggers.spark_application import SparkApplicationTrigger

from ..api_server import api_server

HANDLE = {"namespace": "here", "name": "it", "uid": "1", "created": 4e9, "try_number": "1"}
LOG = [b"one\n", b"two\n"]


class Server:
    """Has one application, and notes what is asked."""

    def __init__(self, state: str, log: list[Any] | None = None, *, is_deferred: bool = False) -> None:
        self.asked: list[str] = []
        self._log = LOG if log is None else log
        metadata = {"name": "it", "namespace": "here", "uid": "1", "resourceVersion": "5", "labels": {TRY: "1"}}
        metadata["creationTimestamp"] = "2026-11-21T08:00:00Z"
        status = {"applicationState": {"state": state}, "driverInfo": {"podName": "it-driver"}}
        self._application = {"metadata": metadata | (DEFERRED["metadata"] if is_deferred else {}), "status": status}

    def answer(self, method: str, path: str, query: dict[str, str]) -> tuple[int, Any]:
        self.asked.append(f"{method} {path.rpartition('/')[2]}")
        if path.endswith("/log"):
            return 200, self._log
        if "watch" in query:
            return 200, []
        if method == "GET" and path.endswith("sparkapplications"):
            return 200, {"metadata": {"resourceVersion": "5"}, "items": [self._application]}
        return 200, self._application

    @property
    def is_deleted(self) -> bool:
        return "DELETE it" in self.asked


def trigger(tmp_path: Path, url: str, **arguments: Any) -> SparkApplicationTrigger:
    body = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "config").write_text(yaml.safe_dump(body))
    cluster = {"conn_id": None, "in_cluster": None, "config_file": str(tmp_path / "config"), "context": None}
    return SparkApplicationTrigger(cluster, HANDLE, 600.0, **arguments)


async def ended(found: SparkApplicationTrigger, message: str | None) -> list[Any]:
    """Run it until it has seen the application, and a moment longer; cancel it as Airflow does; gives its events."""
    events: list[Any] = []

    async def collect() -> None:
        async for event in found.run():
            events.append(event)

    task = asyncio.create_task(collect())
    async with asyncio.timeout(60):
        while found._durations.raw is None:
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    task.cancel(message) if message else task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.gather(*deletion._running)
    return events


def test_a_kill_past_the_deferrals_timeout_for_which_airflow_calls_nothing(tmp_path: Path) -> None:
    server = Server("RUNNING")
    with api_server(server.answer) as url:
        asyncio.run(ended(trigger(tmp_path, url), "the user did it"))
    assert server.is_deleted
    assert server.asked.count("PATCH it") == 1


@pytest.mark.parametrize("state", ["", "SUBMISSION_FAILED", "PENDING_RERUN", "RESUMING"])
def test_nothing_is_changed_while_the_operator_submits(tmp_path: Path, state: str) -> None:
    server = Server(state)
    with api_server(server.answer) as url:
        asyncio.run(ended(trigger(tmp_path, url), None))
    assert "PATCH it" not in server.asked


def test_the_triggerers_own_end_leaves_it(tmp_path: Path) -> None:
    server = Server("RUNNING")
    with api_server(server.answer) as url:
        asyncio.run(ended(trigger(tmp_path, url), None))
    assert not server.is_deleted


def test_a_trigger_that_has_moved_to_another_triggerer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = {"r": {"t_3": "deferred"}}
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **asked: states)
    server = Server("RUNNING")

    async def scenario() -> None:
        found = trigger(tmp_path, url)
        found.task_instance = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=3)  # type: ignore[assignment]
        await ended(found, "the user did it")
        assert not server.is_deleted
        states["r"]["t_3"] = "failed"
        again = trigger(tmp_path, url)
        again.task_instance = found.task_instance
        await ended(again, "the user did it")

    with api_server(server.answer) as url:
        asyncio.run(scenario())
    assert server.is_deleted


def test_a_kill_that_is_to_leave_it(tmp_path: Path) -> None:
    server = Server("RUNNING")
    with api_server(server.answer) as url:
        asyncio.run(ended(trigger(tmp_path, url, keep_on_kill=True), "the user did it"))
    assert not server.is_deleted
    assert "PATCH it" not in server.asked  # the next try goes on with it


def test_a_success_is_deleted_when_airflow_has_stored_it_and_not_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server("COMPLETED")
    caplog.set_level("INFO")

    async def scenario() -> None:
        told = {KEYS[Page.UI]: FORWARDED, "pod_name": "other", "pod_namespace": "here"}
        task = trigger(tmp_path, url, ends_task=True, keep_on_kill=True, told=told)
        (event,) = await ended(task, "the event is stored")
        assert json.loads(json.dumps(event.payload))["end"] == "done"
        assert event.xcoms == {KEYS[Page.UI]: "", "pod_name": "it-driver"}

    with api_server(server.answer) as url:
        asyncio.run(scenario())
    assert server.asked.index("PATCH it") < server.asked.index("DELETE it")
    assert [record.message for record in caplog.records if record.message in ("one", "two")] == ["one", "two"]


@pytest.mark.parametrize(
    "log", [[b"one\n", ConnectionResetError()], [b"x" * 1023 + b"\n"] * 257], ids=["breaks off", "is long"]
)
def test_a_log_that_is_left_to_a_worker(tmp_path: Path, log: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    server = Server("COMPLETED", log)
    caplog.set_level("INFO")

    async def scenario() -> Any:
        return [event async for event in trigger(tmp_path, url, ends_task=True).run()]

    with api_server(server.answer) as url:
        (event,) = asyncio.run(scenario())
    assert event.payload["end"] == "terminal"
    assert not server.is_deleted
    assert "PATCH it" not in server.asked  # not as a success that has been seen
    assert not [record for record in caplog.records if record.message in ("one", "x" * 1023)]


@pytest.mark.parametrize(
    ("ends_task", "changes"), [(True, 0), (False, 1)], ids=["that ends here", "that is left to a worker"]
)
def test_the_mark_as_deferred_keeps_later_tries_from_a_success(tmp_path: Path, ends_task: bool, changes: int) -> None:
    server = Server("COMPLETED", is_deferred=True)

    async def scenario() -> None:
        await anext(trigger(tmp_path, url, ends_task=ends_task).run())

    with api_server(server.answer) as url:
        asyncio.run(scenario())
    # Taken off, for a try after a worker that dies.
    assert server.asked.count("PATCH it") == changes
