"""### Titanic ETL by the provider's own operator

The first half of `titanic_etl` with one difference: the Spark job is launched by Airflow's `SparkKubernetesOperator`, from
the same `titanic_etl.yaml`. It is here to compare both, and to show the way back: nothing in the manifest, the Spark
program or the image is of this project's operator. `docs/provider.md` in the repository compares them argument by argument.

| task | does | fails when |
|---|---|---|
| `cluster_answers` | asks the API server of the connection `kubernetes_default`; where none answers, the rest is skipped | |
| `land` | copies `source` into the raw bucket | the source or a bucket cannot be read or written |
| `transform` | SparkApplication `titanic_etl.yaml` by the Spark operator | the driver's pod fails |
| `quality` | rows in = rows out + rejected; unique ids; plausible values | a count or a value is off |
| `report` | survivors by sex and class: table, plot, XCom | |

It needs what `titanic_etl` needs with `[bigdata] runtime = kubernetes`: the Spark operator, watching the namespace of
`[bigdata] namespace`; there the service account `spark` and the Secret `aws-credentials`; the Spark image on the nodes;
and an S3 that Airflow and the pods reach by the same address, the endpoint of `aws_default`.
"""

from __future__ import annotations

from typing import Any

# Loaded below in any case. The DAG processor loads the airflow.* modules that a file imports by name once, and then
# forks a process for each parse: naming this keeps every parse from loading it anew (bench/dag_parsing.py).
import airflow.sdk.definitions.decorators  # noqa: F401
from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
from airflow.sdk import Param, dag, get_current_context, task

from bigdata.settings import load

settings = load(__file__)

# Those of titanic_etl that these tasks use.
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
    "max_reject_ratio": Param(
        0.1, type="number", minimum=0, maximum=1, description="Share of bad rows above which the run fails."
    ),
}


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["titanic", "spark", "provider"],
    template_searchpath=[str(settings.jobs_root)],
)
def titanic_etl_stock() -> None:
    """Declare what runs after what."""

    @task.short_circuit
    def cluster_answers() -> bool:
        from bigdata.connections import cluster_answers

        return cluster_answers(settings.kubernetes_conn_id)

    @task
    def land(params: Any = None) -> Any:
        from bigdata.titanic import tasks

        return tasks.land(settings, params)

    # Both named, as it knows no [bigdata]: without a connection it would take whatever cluster kubectl points to, and it
    # puts the application into "default" whatever the manifest says.
    transform = SparkKubernetesOperator(
        task_id="transform",
        application_file="titanic_etl.yaml",
        kubernetes_conn_id=settings.kubernetes_conn_id,
        namespace=settings.namespace,
    )

    @task
    def quality(landed: Any, params: Any = None) -> Any:
        from bigdata.titanic import tasks

        return tasks.check_quality(settings, params, landed, get_current_context()["ti"].run_id)

    @task
    def report(checked: Any, params: Any = None) -> Any:
        from bigdata.titanic import tasks

        return tasks.report(settings, params, checked["version"])

    landed = land()
    checked = quality(landed)
    report(checked)
    cluster_answers() >> landed >> transform >> checked


# Here and not in @dag(params=...), which gives each task a copy: Airflow would check each copy's schema at every parse.
titanic_etl_stock().params.update(PARAMS)
