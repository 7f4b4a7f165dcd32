"""### Is Kafka well?

Waits for the brokers, makes a topic, sends records in one transaction, reads them back, and looks at the replicas.
Safe to run at any time, on a laptop and on a cluster.

| task | does | fails when |
|---|---|---|
| `wait_for_brokers` | waits until Strimzi says that the cluster is ready, where the connection names one, and `brokers` brokers answer | they do not within 10 minutes |
| `topic` | makes the topic with `partitions` partitions, or widens it | the brokers refuse it |
| `produce` | sends `records` records, all or none | one is not acknowledged by all in-sync replicas |
| `consume` | reads them back | one is lost or doubled |
| `check` | replicas, in-sync replicas and leaders of each partition | a replica is behind, or a partition has no leader |
| `report` | says what was found | |
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from bigdata.operators.kafka_topic import KafkaTopicOperator
from bigdata.sensors.kafka import KafkaReadySensor

PARAMS = {
    "topic": Param("kafka.smoke", type="string", pattern=r"^[a-zA-Z0-9._-]{1,249}$", description="Made if need be."),
    "partitions": Param(9, type="integer", minimum=1, description="Partitions of the topic, at least."),
    "records": Param(1_000, type="integer", minimum=1, maximum=1_000_000, description="How many to send."),
    "brokers": Param(1, type="integer", minimum=1, description="Brokers that must be there."),
}


@dag(schedule=None, catchup=False, max_active_runs=1, doc_md=__doc__, tags=["kafka"])
def kafka_smoke() -> None:
    """Declare what runs after what."""
    wait_for_brokers = KafkaReadySensor(
        task_id="wait_for_brokers", brokers="{{ params.brokers }}", timeout=600, poll_interval=2
    )
    topic = KafkaTopicOperator(
        task_id="topic",
        topic="{{ params.topic }}",
        partitions="{{ params.partitions }}",
        configs={"retention.ms": 3_600_000},
    )

    @task.kafka_produce(topic="{{ params.topic }}", key="number", expected_count="{{ params.records }}")
    def produce(params: Any = None) -> Any:
        for number in range(params["records"]):
            yield {"number": number}

    @task
    def consume(receipt: Any) -> Any:
        from bigdata.operators import kafka_checks

        return kafka_checks.read_back(receipt)

    @task
    def check(described: Any, params: Any = None) -> Any:
        from bigdata.operators import kafka_checks

        return kafka_checks.check_replicas(described["name"], params["partitions"], params["brokers"])

    @task
    def report(receipt: Any, read: Any, checked: Any) -> str:
        from bigdata.operators import kafka_checks

        return kafka_checks.report(receipt, read, checked, get_current_context()["dag_run"].run_id)

    receipt = produce()
    wait_for_brokers >> topic >> receipt
    report(receipt, consume(receipt), check(topic.output))


# Here and not in @dag(params=...), which gives each task a copy: Airflow would check each copy's schema at every parse.
kafka_smoke().params.update(PARAMS)
