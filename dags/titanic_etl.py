"""### Titanic, end to end

Lands the passenger list in the raw bucket, turns it into typed Parquet with Spark, checks every row, sends each
passenger to Kafka, reads them back, and reports who survived.

| task | does | fails when |
|---|---|---|
| `land` | copies `source` into the raw bucket | the source or a bucket cannot be read or written |
| `transform` | SparkApplication `titanic_etl.yaml`: CSV to Parquet, bad rows to a rejects dataset | the header is wrong, or more than `max_reject_ratio` of the rows are bad |
| `quality` | rows in = rows out + rejected; unique ids; plausible values | a count or a value is off |
| `send` | one record a passenger, keyed by PassengerId | any record is not acknowledged |
| `verify` | reads the topic back | a record is lost or doubled |
| `report` | survivors by sex and class: table, plot, XCom | |
| `summarize` | where everything is | |

Where the Spark part runs is `[bigdata] runtime`: on this machine (`local`), or on a cluster (`native`, `kubernetes`).
"""

from __future__ import annotations

from typing import Any

# Loaded below in any case. The DAG processor loads the airflow.* modules that a file imports by name once, and then
# forks a process for each parse: naming these keeps every parse from loading them anew (bench/dag_parsing.py).
import airflow.providers.amazon.aws.assets.s3
import airflow.providers.cncf.kubernetes.operators.spark_kubernetes
import airflow.sdk.definitions.asset.metadata
import airflow.sdk.definitions.decorators  # noqa: F401
from airflow.sdk import Asset, Metadata, Param, dag, get_current_context, task

from bigdata.operators.spark_application import SparkApplicationOperator
from bigdata.settings import load

settings = load(__file__)

RAW = Asset("titanic_raw", uri="s3://titanic-raw/titanic/titanic.csv")
CURATED = Asset("titanic_curated", uri="s3://titanic-curated/titanic")
# AIP-60's form, which the Kafka provider insists on where it is installed: the connection stands for its brokers.
EVENTS = Asset("titanic_passengers", uri="kafka://kafka_default/titanic.passengers")

# What S3 allows, and nothing that YAML could take for something else.
BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"

PARAMS = {
    "source": Param(
        "data/titanic.csv",
        type="string",
        minLength=1,
        description="The passenger list: a path in the repository, or a file://, http(s):// or s3:// URL.",
    ),
    "raw_bucket": Param("titanic-raw", type="string", pattern=BUCKET, description="Bucket the source lands in."),
    "curated_bucket": Param("titanic-curated", type="string", pattern=BUCKET, description="Bucket of the Parquet."),
    "topic": Param("titanic.passengers", type="string", pattern=r"^[a-zA-Z0-9._-]{1,249}$"),
    "partitions": Param(3, type="integer", minimum=1, description="Partitions of the topic when it is created."),
    "max_reject_ratio": Param(
        0.1, type="number", minimum=0, maximum=1, description="Share of bad rows above which the run fails."
    ),
}


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["titanic", "spark", "kafka"],
    template_searchpath=[str(settings.jobs_root)],
)
def titanic_etl() -> None:
    """Declare what runs after what."""

    @task(outlets=[RAW])
    def land(params: Any = None) -> Any:
        from bigdata.titanic import tasks

        landed = tasks.land(settings, params)
        yield Metadata(RAW, {"rows": landed["rows"], "sha256": landed["sha256"]})
        return landed

    transform = SparkApplicationOperator(task_id="transform", application_file="titanic_etl.yaml", deferrable=True)

    @task(outlets=[CURATED])
    def quality(landed: Any, params: Any = None) -> Any:
        from bigdata.titanic import tasks

        checked = tasks.check_quality(settings, params, landed, get_current_context()["ti"].run_id)
        yield Metadata(CURATED, checked)
        return checked

    @task
    def send(checked: Any, params: Any = None) -> Any:
        from bigdata.titanic import tasks

        ti = get_current_context()["ti"]
        return tasks.send(settings, params, checked["version"], f"{ti.dag_id}/{ti.run_id}/{ti.try_number}")

    @task(outlets=[EVENTS])
    def verify(receipt: Any) -> Any:
        from bigdata.titanic import tasks

        verified = tasks.verify(settings, receipt)
        yield Metadata(EVENTS, verified)
        return verified

    @task
    def report(checked: Any, params: Any = None) -> Any:
        from bigdata.titanic import tasks

        return tasks.report(settings, params, checked["version"])

    @task
    def summarize(landed: Any, checked: Any, receipt: Any, verified: Any, reported: Any, params: Any = None) -> str:
        from bigdata.titanic import tasks

        return tasks.summarize(settings, params, checked["version"], landed, receipt, verified, reported)

    landed = land()
    checked = quality(landed)
    receipt = send(checked)
    verified = verify(receipt)
    reported = report(checked)
    landed >> transform >> checked
    verified >> reported
    summarize(landed, checked, receipt, verified, reported)


# Here and not in @dag(params=...), which gives each task a copy: Airflow would check each copy's schema at every parse.
titanic_etl().params.update(PARAMS)
