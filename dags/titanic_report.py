"""### Titanic report

The smallest useful DAG: reads the passenger list, counts survivors, counts them by sex, and ends with a shell command.
Plain TaskFlow, no Spark, no services.
"""

from __future__ import annotations

from typing import Any

# Loaded below in any case. The DAG processor loads the airflow.* modules that a file imports by name once, and then
# forks a process for each parse: naming these keeps every parse from loading them anew (bench/dag_parsing.py).
import airflow.sdk.definitions.decorators  # noqa: F401
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Asset, Param, dag, task

from bigdata.settings import load

settings = load(__file__)

REPORT = Asset("titanic_report")

PARAMS = {
    "source": Param(
        "data/titanic.csv", type="string", minLength=1, description="A CSV file in the repository, separated by ;"
    )
}


@dag(
    schedule=None,
    catchup=False,
    doc_md=__doc__,
    tags=["titanic", "taskflow"],
)
def titanic_report() -> None:
    """Declare what runs after what."""

    @task
    def read_passengers(params: Any = None) -> list[dict[str, str]]:
        from bigdata.titanic.passengers import read_csv

        return read_csv(settings.project_dir / params["source"], ["Sex", "Survived"])

    @task
    def count_survivors(passengers: Any) -> int:
        return sum(passenger["Survived"] == "1" for passenger in passengers)

    @task
    def count_by_sex(passengers: Any) -> dict[str, int]:
        from collections import Counter

        return dict(Counter(passenger["Sex"] for passenger in passengers if passenger["Survived"] == "1"))

    passengers = read_passengers()
    survivors, by_sex = count_survivors(passengers), count_by_sex(passengers)
    BashOperator(
        task_id="say",
        bash_command='echo "$SURVIVORS passengers survived, by sex: $BY_SEX"',
        env={
            "SURVIVORS": "{{ ti.xcom_pull(task_ids='count_survivors') }}",
            "BY_SEX": "{{ ti.xcom_pull(task_ids='count_by_sex') }}",
        },
        append_env=True,
        outlets=[REPORT],
    ) << [survivors, by_sex]


# Here and not in @dag(params=...), which gives each task a copy: Airflow would check each copy's schema at every parse.
titanic_report().params.update(PARAMS)
