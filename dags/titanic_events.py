"""### The passengers as events, exactly once

Starts when `titanic_etl` has published the passengers. Sends one event a passenger in one transaction, makes of each a
statement on who was saved, exactly once, and proves that every event has become one statement.

| task | does | fails when |
|---|---|---|
| `topics` | makes the three topics | the brokers refuse one |
| `begin` | notes where the statements end now | |
| `send` | published Parquet to `titanic.events`, all or none; a retry does not double them | counts differ, or a record is not acknowledged |
| `judge` | `titanic.events` to `titanic.statements`, exactly once; what cannot be read goes to `titanic.events.dead` | a transaction cannot be committed |
| `reconcile` | reads the statements of this run's events back | one is lost or doubled |
| `report` | what came of it | |
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, Metadata, dag, task

from bigdata.operators.kafka_produce import KafkaProduceOperator
from bigdata.operators.kafka_topic import KafkaTopicOperator

CURATED = Asset("titanic_curated", uri="s3://titanic-curated/titanic")
STATEMENTS = Asset("titanic_statements", uri="kafka://kafka_default/titanic.statements")

EVENTS, JUDGED, DEAD = "titanic.events", "titanic.statements", "titanic.events.dead"


@dag(schedule=[CURATED], catchup=False, max_active_runs=1, doc_md=__doc__, tags=["titanic", "kafka"])
def titanic_events() -> None:
    """Declare what runs after what."""
    topics = KafkaTopicOperator.partial(task_id="topics", partitions=3).expand(topic=[EVENTS, JUDGED, DEAD])
    send = KafkaProduceOperator(
        task_id="send", topic=EVENTS, source=CURATED, key="PassengerId", retries=2, retry_delay=10
    )

    @task
    def begin() -> Any:
        from bigdata.titanic import event_tasks

        return event_tasks.begin(JUDGED)

    @task.kafka_consume(topic=EVENTS, exactly_once=True, output_topic=JUDGED, dead_letter_topic=DEAD, retries=2)
    def judge(record: Any = None) -> Any:
        from bigdata.titanic.statements import statement

        return statement(record)

    @task(outlets=[STATEMENTS])
    def reconcile(receipt: Any, judged: Any, start: Any) -> Any:
        from bigdata.titanic import event_tasks

        reconciled = event_tasks.reconcile(JUDGED, receipt, judged, start)
        yield Metadata(STATEMENTS, reconciled)
        return reconciled

    @task
    def report(receipt: Any, judged: Any, reconciled: Any) -> str:
        from bigdata.titanic import event_tasks

        return event_tasks.report(receipt, judged, reconciled)

    start, judged = begin(), judge()
    topics >> start >> send >> judged
    reconciled = reconcile(send.output, judged, start)
    report(send.output, judged, reconciled)


titanic_events()
