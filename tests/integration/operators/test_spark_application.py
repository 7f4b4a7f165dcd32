"""SparkApplicationOperator in the local runtime, as a task sees it: outcome, error, kill, time-out, link."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from bigdata.errors import ApplicationFailed, ApplicationGone, ConfigError, ManifestError
from bigdata.links import SparkUILink
from bigdata.operators.spark_application import SparkApplicationOperator

from .jobs import MANIFEST, Said, execute, operator

pytestmark = pytest.mark.integration


def running(tmp_path: Path) -> list[psutil.Process]:
    """All processes that have to do with this test's job."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(tmp_path) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


SLEEPER = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("READY", flush=True)
spark.sparkContext.parallelize([1], 1).foreach(lambda _: __import__("time").sleep(600))
"""


def test_it_is_the_providers_operator_with_the_same_template_fields() -> None:
    assert issubclass(SparkApplicationOperator, SparkKubernetesOperator)
    assert SparkApplicationOperator.template_fields == SparkKubernetesOperator.template_fields
    assert SparkApplicationOperator.template_ext == SparkKubernetesOperator.template_ext


def test_a_success_returns_what_ran_and_leaves_an_event_log(tmp_path: Path, context: dict[str, Any]) -> None:
    program = "from pyspark.sql import SparkSession\nprint(SparkSession.builder.getOrCreate().range(10).count())\n"
    result = execute(operator(tmp_path, program), context)
    assert (result["state"], result["exit_code"]) == ("SUCCEEDED", 0)
    assert result["application_id"].startswith("local-")
    assert result["event_log"]


def test_an_exception_is_the_tasks_error(tmp_path: Path, context: dict[str, Any]) -> None:
    with pytest.raises(ApplicationFailed, match=r"ended as exit code 1: ValueError: the row is bad") as error:
        execute(operator(tmp_path, "raise ValueError('the row is bad')\n"), context)
    assert any("job.py" in line for line in error.value.last_lines)


def test_the_ui_link_answers_while_it_runs_and_on_kill_ends_all_of_it(tmp_path: Path, context: dict[str, Any]) -> None:
    task = operator(tmp_path, SLEEPER)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            execute(task, context)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 120
    while SparkUILink().xcom_key not in context["ti"].pushed and time.monotonic() < deadline:
        time.sleep(0.2)
    url = context["ti"].pushed[SparkUILink().xcom_key]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    assert urllib.request.urlopen(f"{url}/api/v1/applications", timeout=10).status == 200
    assert running(tmp_path)

    task.on_kill()
    thread.join(60)

    assert not thread.is_alive()
    assert isinstance(errors[0], ApplicationGone)
    assert running(tmp_path) == []


def test_execution_timeout_ends_all_of_it(tmp_path: Path, context: dict[str, Any]) -> None:
    task = operator(tmp_path, SLEEPER, execution_timeout=timedelta(seconds=15))
    with pytest.raises(AirflowTaskTimeout), timeout(task.execution_timeout.total_seconds()):
        execute(task, context)
    assert running(tmp_path) == []


def test_a_mistake_in_the_manifest_names_file_and_field(tmp_path: Path, context: dict[str, Any]) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(MANIFEST.format(file="/x.py").replace("cores: 1", "core: 1"))
    task = SparkApplicationOperator(task_id="t", application_file=str(file), runtime="local")
    with pytest.raises(ManifestError, match=r"wrong\.yaml: .*spec\.driver\.core\b.*cores"):
        execute(task, context)


def test_a_wrong_runtime_names_the_right_ones(tmp_path: Path, context: dict[str, Any]) -> None:
    task = SparkApplicationOperator(task_id="t", application_file="x.yaml", runtime="docker")
    with pytest.raises(ConfigError, match="runtime='docker': must be one of local, native, kubernetes"):
        execute(task, context)


def test_deferrable_says_that_it_has_no_effect_here(tmp_path: Path, context: dict[str, Any], said: Said) -> None:
    execute(operator(tmp_path, "print('done')\n", deferrable=True), context)
    line = "deferrable=True has no effect with the runtime local: the worker waits"
    assert said.lines.count(("info", line)) == 1


def test_a_job_on_this_machine_is_not_kept_when_the_task_is_killed(
    tmp_path: Path, context: dict[str, Any], said: Said
) -> None:
    task = operator(tmp_path, SLEEPER, on_kill_action="keep_pod")
    errors: list[BaseException] = []

    def work() -> None:
        try:
            execute(task, context)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 120
    while "READY" not in said.text and time.monotonic() < deadline:
        time.sleep(0.2)
    task.on_kill()
    thread.join(60)
    assert "ends with its task" in said.text
    assert isinstance(errors[0], ApplicationGone)
    assert running(tmp_path) == []
