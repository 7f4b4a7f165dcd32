"""One watch for many waiters, on objects that nobody acts on: their status is set by the test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bigdata.errors import ClusterError
from bigdata.kubernetes.resources import Kind, Resources
from bigdata.kubernetes.shared_watch import SharedWatch
from bigdata.spark.kubernetes.runtime import SPARK_APPLICATION
from bigdata.spark.kubernetes.states import raw_state

from .statuses import set_state

pytestmark = pytest.mark.cluster


@asynccontextmanager
async def connect() -> AsyncIterator[Any]:
    from kubernetes_asyncio.client import ApiClient, Configuration
    from kubernetes_asyncio.config import load_kube_config

    configuration = Configuration()
    await load_kube_config(os.environ["KUBECONFIG"], client_configuration=configuration)
    async with ApiClient(configuration) as client:
        yield client


@pytest.fixture
def applications(api_client: Any, namespace: str) -> Resources:
    """SparkApplications in a namespace that no operator watches."""
    found = Resources(api_client, SPARK_APPLICATION, namespace)
    try:
        found.select("")
    except ClusterError as error:
        pytest.skip(f"the cluster has no Spark operator: {error}")
    return found


@pytest.fixture
def make(applications: Resources) -> Callable[[str], str]:
    def make(name: str) -> str:
        body = {
            "apiVersion": "sparkoperator.k8s.io/v1beta2",
            "kind": "SparkApplication",
            "metadata": {"name": name, "labels": {"watched": "yes"}},
            "spec": {"type": "Python", "sparkVersion": "4.2.0", "mainApplicationFile": "local:///x.py"}
            | {"driver": {}, "executor": {}},
        }
        return str(applications.create(body)[0]["metadata"]["uid"])

    return make


async def states(watch: SharedWatch, name: str, uid: str, into: list[str]) -> None:
    async for found in watch.follow(name, uid):
        into.append("gone" if found is None else raw_state(found))
        if into[-1] in ("gone", "COMPLETED"):
            return


def cut(client: Any) -> None:
    """Break the client's connections, as a server that restarts does."""
    for protocol in list(client.rest_client.pool_manager.connector._acquired):
        protocol.transport.abort()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def test_many_waiters_see_their_own_objects_through_one_list(
    applications: Resources, make: Callable[[str], str], namespace: str
) -> None:
    async def scenario() -> None:
        watch = SharedWatch(connect, SPARK_APPLICATION, namespace, "watched=yes")
        names = [f"many-{number}" for number in range(20)]
        uids = {name: make(name) for name in names[:10]}
        seen: dict[str, list[str]] = {name: [] for name in names}
        async with asyncio.TaskGroup() as group:
            for name in names[:10]:
                group.create_task(states(watch, name, uids[name], seen[name]))
            await until(lambda: all(seen[name] == [""] for name in names[:10]))
            # These are made after the list, and waited for at once.
            for name in names[10:]:
                uids[name] = await asyncio.to_thread(make, name)
                group.create_task(states(watch, name, uids[name], seen[name]))
            await until(lambda: all(seen[name][:1] == [""] for name in names))
            assert (watch.waiters, watch.lists) == (20, 1)
            for name in names[:-1]:
                await asyncio.to_thread(set_state, applications, name, "RUNNING")
                await until(lambda name=name: seen[name][-1] == "RUNNING")
                await asyncio.to_thread(set_state, applications, name, "COMPLETED")
            await asyncio.to_thread(applications.delete, names[-1])
        assert {tuple(dict.fromkeys(seen[name])) for name in names[:-1]} == {("", "RUNNING", "COMPLETED")}
        assert seen[names[-1]][-1] == "gone"
        assert (watch.waiters, watch.lists) == (0, 1)
        assert watch._task is None

    asyncio.run(scenario())
    for found in applications.select(""):
        applications.delete(found["metadata"]["name"])


def test_what_is_gone_or_has_a_successor_is_told(
    applications: Resources, make: Callable[[str], str], namespace: str
) -> None:
    async def scenario() -> None:
        watch = SharedWatch(connect, SPARK_APPLICATION, namespace)
        for name, uid in (("never", "1"), ("again", make("again"))):
            if name == "again":
                await asyncio.to_thread(applications.delete, name)
                await asyncio.to_thread(make, name)
            seen: list[str] = []
            await asyncio.wait_for(states(watch, name, uid, seen), 10)
            assert seen == ["gone"]

    asyncio.run(scenario())
    applications.delete("again")


def test_a_broken_connection_loses_no_state(
    applications: Resources, make: Callable[[str], str], namespace: str
) -> None:
    async def scenario() -> None:
        clients: list[Any] = []

        @asynccontextmanager
        async def remembered() -> AsyncIterator[Any]:
            async with connect() as client:
                clients.append(client)
                yield client

        watch, seen = SharedWatch(remembered, SPARK_APPLICATION, namespace), []
        uid = await asyncio.to_thread(make, "broken")
        waiting = asyncio.create_task(states(watch, "broken", uid, seen))
        await until(lambda: seen == [""])
        await asyncio.sleep(0.5)
        for _ in range(3):
            cut(clients[-1])
            await asyncio.to_thread(set_state, applications, "broken", "RUNNING")
            await until(lambda: seen[-1] == "RUNNING")
            await asyncio.to_thread(set_state, applications, "broken", "SUBMITTED")
            await until(lambda: seen[-1] == "SUBMITTED")
        # A version that has expired, as after a long break.
        watch._version = "1"
        cut(clients[-1])
        await asyncio.to_thread(set_state, applications, "broken", "COMPLETED")
        await asyncio.wait_for(waiting, 20)
        assert seen[-1] == "COMPLETED"

    asyncio.run(scenario())
    applications.delete("broken")


def test_a_refusal_is_raised_in_every_waiter(namespace: str, applications: Resources) -> None:
    async def scenario() -> None:
        watch = SharedWatch(connect, Kind("example.org", "v1", "Thing", "things"), namespace, patience=0.5)
        waiting = [asyncio.create_task(states(watch, f"thing-{number}", "1", [])) for number in range(3)]
        done = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
        assert all(isinstance(item, ClusterError) for item in done)
        assert {"does not know this kind" in str(item) for item in done} == {True}

    asyncio.run(scenario())
