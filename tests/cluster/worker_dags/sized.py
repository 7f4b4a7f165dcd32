"""A task whose worker has a size of its own."""

from __future__ import annotations

from airflow.sdk import dag, task

from bigdata.operators.worker_pod import worker_pod


@dag(schedule=None)
def sized() -> None:
    @task(executor_config=worker_pod(cpu="150m", memory="700Mi"))
    def run() -> None: ...

    run()


sized()
