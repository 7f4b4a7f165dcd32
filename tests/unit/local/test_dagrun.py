"""What the terminal shows of the long output of ``airflow dags test``."""

from bigdata.local.dagrun import digest

OUTPUT = """\
2026-11-21T06:53:02.288945Z [info     ] Created dag run.               [airflow.models.dagrun] loc=dagrun.py:2464
2026-11-21T06:53:02.308405Z [info     ] [DAG TEST] starting task_id=land map_index=-1 [airflow.sdk.definitions.dag]
2026-11-21T06:53:09.492581Z [info     ] ::endgroup::                   [task] loc=task_runner.py:2232
2026-11-21T06:53:09.495353Z [info     ] a.csv landed: 2 rows           [bigdata.titanic.landing] loc=landing.py:58
2026-11-21T06:53:09.598537Z [info     ] [DAG TEST] end task task_id=land map_index=-1 [airflow.sdk.definitions.dag]
2026-11-21T06:53:09.606657Z [info     ] [DAG TEST] starting task_id=report map_index=-1 [airflow.sdk.definitions.dag]
2026-11-21T06:53:09.607000Z [info     ] Survivors
sex      class  passengers survivors  share
female   1st            94        91    97% [bigdata.titanic.tasks] loc=tasks.py:80
2026-11-21T06:53:09.700000Z [error    ] Task failed with exception     [task] loc=task_runner.py:1600
Traceback (most recent call last):
  File "task_runner.py", line 1579, in run
    result = execute()
ValueError: first

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "task_runner.py", line 1579, in run
bigdata.errors.DataError: no
    because of this
2026-11-21T06:53:09.750000Z [info     ] [DAG TEST] end task task_id=report map_index=-1 [airflow.sdk.definitions.dag]
2026-11-21T06:53:09.800000Z [info     ] Pushing xcom                   [task] loc=task_runner.py:2280
"""


def test_tasks_our_own_messages_and_exceptions_are_shown() -> None:
    ticks = iter(range(100))
    assert list(digest(OUTPUT.splitlines(), clock=lambda: float(next(ticks)))) == [
        "▶ land",
        "    a.csv landed: 2 rows",
        "✔ land 1.0 s",
        "▶ report",
        "    Survivors",
        "    sex      class  passengers survivors  share",
        "    female   1st            94        91    97%",
        "    bigdata.errors.DataError: no",
        "        because of this",
        "✘ report 1.0 s",
    ]
