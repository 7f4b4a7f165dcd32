"""### Titanic, as a stream

Takes passengers from Kafka to Parquet, each record exactly once, with Spark's Structured Streaming, and proves it.

| task | does | fails when |
|---|---|---|
| `prepare` | makes the bucket, notes where the topic ends | there is no such topic, or no broker answers |
| `stream` | SparkApplication `titanic_stream.yaml`: batches of records to Parquet, bad ones to a rejects dataset with the reason | records are gone that were not read yet, or the checkpoint is another stream's |
| `verify` | compares what was delivered since the last proof with the topic, record by record | one is lost or doubled |

`mode` **available-now** reads what is there, and ends; **continuous** delivers every `trigger_seconds`, for `run_seconds`,
and then finishes the batch at hand. A run goes on where the one before ended, or was killed: the checkpoint lies beside
the data, in `s3://<curated_bucket>/titanic_stream/<topic>`.

Starts when `titanic_etl` has sent passengers, or by hand.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, Metadata, Param, dag, task

from bigdata.operators.spark_application import SparkApplicationOperator
from bigdata.settings import load

settings = load(__file__)

EVENTS = Asset("titanic_passengers", uri="kafka://kafka_default/titanic.passengers")
STREAMED = Asset("titanic_streamed", uri="s3://titanic-curated/titanic_stream/titanic.passengers")

PARAMS = {
    "topic": Param("titanic.passengers", type="string", pattern=r"^[a-zA-Z0-9._-]{1,249}$"),
    "curated_bucket": Param(
        "titanic-curated",
        type="string",
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="Bucket of the Parquet and the checkpoint.",
    ),
    "stream_kafka_conn_id": Param(
        "",
        type="string",
        pattern=r"^[a-zA-Z0-9_.-]{0,250}$",
        description="Connection by which Spark reads; empty: that of the other tasks. Its user need only read.",
    ),
    "mode": Param(
        "available-now",
        enum=["available-now", "continuous"],
        description="Read what is there and end, or go on for run_seconds.",
    ),
    "run_seconds": Param(300, type="integer", minimum=1, description="How long a continuous run reads."),
    "trigger_seconds": Param(10, type="integer", minimum=1, description="Seconds between batches of a continuous run."),
    "max_offsets_per_trigger": Param(100_000, type="integer", minimum=1, description="Records of a batch, at most."),
}


@dag(
    schedule=[EVENTS],
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["titanic", "spark", "kafka", "streaming"],
    template_searchpath=[str(settings.jobs_root)],
)
def titanic_stream() -> None:
    """Declare what runs after what."""

    @task
    def prepare(params: Any = None) -> Any:
        from bigdata.titanic import stream_tasks

        return stream_tasks.prepare(settings, params)

    stream = SparkApplicationOperator(
        task_id="stream", application_file="titanic_stream.yaml", deferrable=True, retries=2, retry_delay=10
    )

    @task(outlets=[STREAMED])
    def verify(prepared: Any, params: Any = None) -> Any:
        from bigdata.titanic import stream_tasks

        verified = stream_tasks.verify(settings, params, prepared)
        yield Metadata(STREAMED, verified)
        return verified

    prepared = prepare()
    prepared >> stream >> verify(prepared)


# Here and not in @dag(params=...), see titanic_etl.
titanic_stream().params.update(PARAMS)
