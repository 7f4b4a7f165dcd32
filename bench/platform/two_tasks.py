"""Two bash tasks, for bench/worker_start.py: nothing that a bare Airflow has not got."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag


@dag(schedule=None, catchup=False, tags=["bench"])
def two_tasks():
    BashOperator(task_id="first", bash_command="true") >> BashOperator(task_id="second", bash_command="true")


two_tasks()
