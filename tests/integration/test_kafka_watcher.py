"""Kafka in a whole Airflow. Messages start DAGs: each once, by one consumer for all watchers, and none is lost when the
triggerer is killed; nor is one lost to a sensor that is tried again, or that looks now and then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.membership import members
from bigdata.kafka.produce import produce
from bigdata.kafka.records import Record
from bigdata.kafka.topics import ensure_topic
from bigdata.local.stack import Stack

from ..airflow_api import Api
from ..airflow_parts import Airflow
from ..waiting import soon

pytestmark = pytest.mark.integration

DAG = """
from airflow.sdk import Asset, AssetWatcher, dag, task
from bigdata.triggers.kafka_messages import KafkaMessageTrigger

def watched(name, **arguments):
    trigger = KafkaMessageTrigger(topics=["{topic}"], kafka_conn_id="kafka_test", group="{group}", **arguments)
    asset = Asset(name, watchers=[AssetWatcher(name=name, trigger=trigger)])

    @dag(dag_id=name, schedule=[asset], max_active_runs=20)
    def made():
        @task
        def show(triggering_asset_events=None):
            from bigdata.operators.kafka_events import show
            return show(triggering_asset_events)
        show()
    made()

watched("every")
watched("picked", fields={{"kind": "wanted"}})
"""

SENSORS = """
from datetime import timedelta
from airflow.sdk import dag
from bigdata.sensors.kafka import KafkaMessageSensor

class FailsOnce(KafkaMessageSensor):
    def resume(self, context, event):
        if context["ti"].try_number == 1:
            raise RuntimeError("the worker died with the message in its hands")
        return super().resume(context, event)

@dag
def waiting():
    again = {{"retries": 1, "retry_delay": timedelta(seconds=1)}}
    shared = {{"topic": "{topic}", "kafka_conn_id": "kafka_test", "latest": True, "timeout": 600}}
    FailsOnce(task_id="deferred", key="deferred", poll_interval=1, **shared, **again)
    KafkaMessageSensor(
        task_id="rescheduled", key="rescheduled", deferrable=False, mode="reschedule", poke_interval=3, **shared
    )

waiting()
"""


class Watched:
    """Airflow with two DAGs that watch one topic, and one that waits on another."""

    def __init__(self, airflow: Airflow, api: Api, config: KafkaConfig, topic: str, group: str) -> None:
        self.airflow, self.api, self.config, self.topic, self.group = airflow, api, config, topic, group

    def send(self, *values: Any) -> None:
        made = [Record(None, value if isinstance(value, bytes) else json.dumps(value).encode()) for value in values]
        produce(self.config, self.topic, made, uuid4().hex)

    def came(self, asset: str) -> list[tuple[int, int, Any]]:
        """Partition, offset and value of each event of an asset that Airflow has."""
        with self.airflow.database() as database:
            rows = database.execute(
                "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = ?", [asset]
            ).fetchall()
        messages = [json.loads(extra)["payload"] for (extra,) in rows]
        return sorted((message["partition"], message["offset"], message["value"]) for message in messages)

    def values(self, asset: str) -> list[Any]:
        """Each message's value, once, however often it came."""
        return [
            value
            for _, _, value in {
                (part, offset): (part, offset, value) for part, offset, value in self.came(asset)
            }.values()
        ]

    def members(self) -> int:
        """Consumers of the group, as the broker counts them."""
        return members(self.config, self.group)


@pytest.fixture(scope="module")
def watched(stack: Stack, kafka: KafkaConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watcher")
    topic, group = f"test.{uuid4().hex[:8]}", f"test.{uuid4().hex[:8]}"
    ensure_topic(kafka, topic, 2)
    (folder / "dags").mkdir()
    ensure_topic(kafka, f"{topic}.sensors", 2)
    (folder / "dags" / "watched.py").write_text(DAG.format(topic=topic, group=group))
    (folder / "dags" / "waiting.py").write_text(SENSORS.format(topic=f"{topic}.sensors"))
    environ = {
        "AIRFLOW_CONN_KAFKA_TEST": f"kafka://?bootstrap.servers={kafka.bootstrap_servers}",
        "AIRFLOW__TRIGGERER__SHARED_STREAM_COHORT_GRACE_PERIOD": "3",
        "AIRFLOW__BIGDATA__PROJECT_DIR": os.environ["AIRFLOW__BIGDATA__PROJECT_DIR"],
    }
    airflow = Airflow(folder / "airflow", folder / "dags", environ)
    try:
        api = airflow.start()
        found = Watched(airflow, api, kafka, topic, group)
        assert soon(lambda: found.members() == 1, 90), airflow.output("triggerer")
        yield found
    finally:
        airflow.stop()


def test_a_message_starts_the_dags_that_want_it_once(watched: Watched) -> None:
    watched.send({"kind": "wanted", "n": 1}, {"kind": "other", "n": 2}, b"no json")
    assert soon(lambda: len(watched.came("every")) == 3, 60), watched.airflow.output("triggerer")
    assert sorted(map(str, watched.values("every"))) == sorted(
        map(str, [{"kind": "wanted", "n": 1}, {"kind": "other", "n": 2}, "no json"])
    )
    assert soon(lambda: watched.values("picked") == [{"kind": "wanted", "n": 1}], 30)
    assert watched.members() == 1  # one consumer for both

    def runs() -> list[Any]:
        return [run for run in watched.api.ask("/api/v2/dags/picked/dagRuns")["dag_runs"] if run["state"] == "success"]

    assert soon(lambda: len(runs()) == 1, 90), watched.airflow.output("scheduler")


def test_a_killed_triggerer_loses_no_message(watched: Watched) -> None:
    before = len(watched.values("every"))
    numbers = [{"kind": "wanted", "n": 100 + n} for n in range(40)]
    watched.send(*numbers[:20])
    assert soon(lambda: len(watched.values("every")) > before, 60)
    watched.airflow.kill("triggerer")  # in the midst of it, or just behind it
    watched.send(*numbers[20:])
    watched.airflow.begin("triggerer")
    assert soon(lambda: len(watched.values("every")) == before + 40, 120), watched.airflow.output("triggerer")
    for asset in ("every", "picked"):
        came = [value["n"] for value in watched.values(asset) if isinstance(value, dict) and value["n"] >= 100]
        assert sorted(came) == list(range(100, 140))


def test_a_sensor_finds_what_came_since_its_first_try_began(watched: Watched) -> None:
    """The message is there before the retry, and before the look that finds it: neither begins anew at the end."""
    topic = f"{watched.topic}.sensors"
    produce(watched.config, topic, [Record(b"deferred", b'{"n": 1}'), Record(b"rescheduled", b"")], "before")
    run = watched.api.trigger("waiting")

    def states() -> set[str]:
        return {f"{task['task_id']} {task['state']}" for task in run.tasks()}

    for wait in ("deferred deferred", "rescheduled up_for_reschedule"):
        assert soon(lambda: wait in states(), 180), states()  # noqa: B023
    produce(watched.config, topic, [Record(b"deferred", b'{"n": 2}'), Record(b"rescheduled", b"")], "since")
    assert run.wait(300) == "success", run.tasks()
    tasks = {task["task_id"]: task for task in run.tasks()}
    assert tasks["deferred"]["try_number"] == 2
    assert "Going on where an earlier try" in run.log("deferred", 2)
    found = watched.api.ask(f"{run.path}/taskInstances/deferred/xcomEntries/return_value?deserialize=true")["value"]
    assert found["value"] == {"n": 2}
