"""### SparkPi, three ways

The same manifest, `spark_jobs/spark_pi.yaml`, by each runtime: on this machine, by `spark-submit --master k8s://`, and by
the Spark operator. The first two need a Spark beside Airflow, which Airflow's image has none of; the last two run where
a cluster answers at the connection `kubernetes_default`. What cannot run is skipped. It takes no params: the manifest is
plain, so that `kubectl apply` takes it as it is, too.
"""

from __future__ import annotations

import logging

# Loaded below in any case. The DAG processor loads the airflow.* modules that a file imports by name once, and then
# forks a process for each parse: naming these keeps every parse from loading them anew (bench/dag_parsing.py).
import airflow.providers.cncf.kubernetes.operators.spark_kubernetes
import airflow.sdk.definitions.decorators  # noqa: F401
from airflow.sdk import dag, task

from bigdata.operators.spark_application import SparkApplicationOperator
from bigdata.settings import RuntimeName, load

settings = load(__file__)
MANIFEST = "spark_pi.yaml"


@dag(
    schedule=None,
    catchup=False,
    doc_md=__doc__,
    tags=["spark", "smoke"],
    template_searchpath=[str(settings.jobs_root)],
)
def spark_pi() -> None:
    """Declare what runs after what."""

    @task.short_circuit
    def spark_is_here() -> bool:
        from importlib.util import find_spec

        found = find_spec("pyspark") is not None
        logging.getLogger(__name__).info("pyspark is %s", "installed" if found else "not installed here")
        return found

    @task.short_circuit
    def cluster_answers() -> bool:
        from bigdata.connections import cluster_answers

        return cluster_answers(settings.kubernetes_conn_id)

    local = SparkApplicationOperator(task_id="local", application_file=MANIFEST, runtime=RuntimeName.LOCAL)
    native = SparkApplicationOperator(task_id="native", application_file=MANIFEST, runtime=RuntimeName.NATIVE)
    operator = SparkApplicationOperator(task_id="operator", application_file=MANIFEST, runtime=RuntimeName.KUBERNETES)
    spark_is_here() >> [local, native]
    cluster_answers() >> [native, operator]


spark_pi()
