"""### Started by a message

Each message in `titanic.commands` starts a run; one message, one event, one run or part of one. The offset is committed
when Airflow has stored the event, so that a crash loses none; one that comes twice has the same offset.

Try it: unpause the DAG, then

    python -c "from bigdata.hooks.kafka import KafkaHook; KafkaHook().get_producer().send('titanic.commands', b'hello').get()"

With `airflow dags test kafka_triggered` there is no message, and the task says so.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, AssetWatcher, dag, task

from bigdata.settings import load
from bigdata.triggers.kafka_messages import KafkaMessageTrigger

TOPIC = "titanic.commands"
COMMANDS = Asset(
    "titanic_commands",
    watchers=[
        AssetWatcher(
            name="titanic_commands",
            trigger=KafkaMessageTrigger(topics=[TOPIC], kafka_conn_id=load(__file__).kafka_conn_id),
        )
    ],
)


@dag(schedule=[COMMANDS], catchup=False, doc_md=__doc__, tags=["kafka", "event-driven"])
def kafka_triggered() -> None:
    """Declare what runs after what."""

    @task
    def show(triggering_asset_events: Any = None) -> Any:
        from bigdata.operators import kafka_events

        return kafka_events.show(triggering_asset_events)

    show()


kafka_triggered()
