"""SparkApplicationOperator in the local runtime, as a task sees it: outcome, error, kill, time-out, link."""

from __future__ import annotations

import logging
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml
from airflow.providers.cncf.kubernetes.callbacks import KubernetesPodOperatorCallback
from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
from airflow.sdk.exceptions import AirflowSkipException, AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from bigdata.errors import ApplicationFailed, ApplicationGone, ConfigError, ManifestError
from bigdata.links import SparkUILink
from bigdata.operators.spark_application import SparkApplicationOperator

pytestmark = pytest.mark.integration

MANIFEST = """
apiVersion: sparkoperator.k8s.io/v1beta2
kind: SparkApplication
metadata: {{name: probe}}
spec:
  type: Python
  mode: cluster
  sparkVersion: 4.2.0
  image: any
  mainApplicationFile: file://{file}
  driver: {{cores: 1, memory: 512m}}
  executor: {{instances: 1}}
"""


class FakeTask(SimpleNamespace):
    """The few things of a task instance that an operator asks for outside Airflow."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def context() -> dict[str, Any]:
    ti = FakeTask(dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1, pushed={})
    return {"ti": ti, "run_id": "r"}


class Said(logging.Handler):
    """What was said so far: by our loggers, and by the task's own, which writes to standard output past them."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        super().__init__(logging.INFO)
        self._capfd, self.printed = capfd, ""
        self._records: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append((record.levelname.lower(), record.getMessage()))

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Level and message of each."""
        self.printed += re.sub(r"\x1b\[\d*m", "", self._capfd.readouterr().out)
        return self._records + re.findall(r"\[(\w+) *\] (.*?) +\[[\w.]+\] loc=", self.printed)

    @property
    def text(self) -> str:
        return "\n".join(message for _, message in self.lines)


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Iterator[Said]:
    ours, found = logging.getLogger("bigdata"), Said(capfd)
    level = ours.level
    ours.setLevel(logging.INFO)
    ours.addHandler(found)
    yield found
    ours.removeHandler(found)
    ours.setLevel(level)


def operator(tmp_path: Path, program: str, **kwargs: Any) -> SparkApplicationOperator:
    """An operator whose job is this program."""
    (tmp_path / "job.py").write_text(program)
    manifest = MANIFEST.format(file=tmp_path / "job.py")
    return SparkApplicationOperator(task_id="t", application_file=manifest, runtime="local", **kwargs)


def execute(task: SparkApplicationOperator, context: dict[str, Any]) -> Any:
    """As the task runner does; the guard against calling it by hand is not what is tested."""
    return SparkApplicationOperator.execute.__wrapped__(task, context)  # type: ignore[attr-defined]


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


# What follows works with the provider's operator, and has to here.

NAMES = "import os\nprint('I am', os.environ['SPARK_APPLICATION_NAME'], 'in', os.environ.get('WHERE'))\n"


def wrapped(tmp_path: Path, program: str, spec: dict[str, Any] | None = None, **kubernetes: Any) -> dict[str, Any]:
    """The program in the provider's form; image and mainApplicationFile are left to the arguments, as in its guide."""
    (tmp_path / "job.py").write_text(program)
    application = yaml.safe_load(MANIFEST.format(file="job.py"))
    for field in ("image", "mainApplicationFile"):
        del application["spec"][field]
    application["spec"] |= {"successfulRunHistoryLimit": 1, "labels": {"team": "a"}, **(spec or {})}
    return {"spark": {**application, "version": "v1beta2", "apiGroup": "x"}, "kubernetes": kubernetes}


def test_the_providers_template_runs_and_what_is_dropped_is_one_line(
    tmp_path: Path, context: dict[str, Any], said: Said
) -> None:
    resources = {"container_resources": {"cpu": {"request": "1"}, "memory": {"limit": "1Gi"}}}
    form = wrapped(
        tmp_path, NAMES, {"driver": resources, "executor": resources}, env_vars={"WHERE": "x"}, conn_id="y", old=1
    )
    task = SparkApplicationOperator(
        task_id="t", template_spec=form, runtime="local", image="a:1", code_path=f"file://{tmp_path}/job.py"
    )
    assert execute(task, context)["state"] == "SUCCEEDED"
    line = "Without effect in <inline>: kubernetes.old, apiGroup, version, spec.successfulRunHistoryLimit"
    assert [message for level, message in said.lines if level == "warning"] == [line]
    assert re.search(r"I am d-t-[0-9a-f]{10}-1 in x", said.text)


@pytest.mark.parametrize("codes", [3, range(2, 4)])
def test_an_exit_code_may_skip_the_task(tmp_path: Path, context: dict[str, Any], codes: Any) -> None:
    task = operator(tmp_path, "raise SystemExit(3)\n", skip_on_exit_code=codes)
    with pytest.raises(AirflowSkipException, match="ended with exit code 3"):
        execute(task, context)


def test_another_exit_code_fails_it(tmp_path: Path, context: dict[str, Any]) -> None:
    with pytest.raises(ApplicationFailed, match="exit code 3"):
        execute(operator(tmp_path, "raise SystemExit(3)\n", skip_on_exit_code=[4]), context)


def test_without_a_random_suffix_the_name_is_as_given(tmp_path: Path, context: dict[str, Any], said: Said) -> None:
    operator(tmp_path, NAMES, random_name_suffix=False).dry_run()
    assert not said.lines
    assert yaml.safe_load(said.printed)["metadata"]["name"] == "probe"
    execute(operator(tmp_path, NAMES, random_name_suffix=False, name="My_ETL"), context)
    assert "I am my-etl in" in said.text
    assert "my-etl: SUCCEEDED" in said.text


def test_callbacks_are_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(ConfigError, match="task t: callbacks: .*on_success_callback"):
        SparkApplicationOperator(task_id="t", application_file="x.yaml", callbacks=KubernetesPodOperatorCallback)


def test_without_get_logs_the_lines_are_not_shown_and_the_reason_still_is(
    tmp_path: Path, context: dict[str, Any], said: Said
) -> None:
    task = operator(tmp_path, "print('a line')\nraise ValueError('the row is bad')\n", get_logs=False)
    with pytest.raises(ApplicationFailed, match="exit code 1: ValueError: the row is bad"):
        execute(task, context)
    assert "Not applied on this machine" in said.text
    assert "a line" not in said.text
    assert "Traceback" not in said.text


def test_a_log_formatter_makes_the_drivers_lines_and_no_others(
    tmp_path: Path, context: dict[str, Any], said: Said
) -> None:
    def formatter(container: str, line: str) -> str:
        return f"<{container}> {line}"

    execute(operator(tmp_path, "print('a line')\n", log_formatter=formatter), context)
    messages = [message for _, message in said.lines]
    assert "<spark-kubernetes-driver> a line" in messages
    assert "a line" not in messages
    assert [line for line in messages if line.startswith("Not applied on this machine")]


@pytest.mark.parametrize(
    ("given", "namespace"), [({}, "jobs"), ({"namespace": "default"}, "default"), ({"namespace": "other"}, "other")]
)
def test_a_namespace_that_is_given_wins_even_if_it_is_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: dict[str, str], namespace: str
) -> None:
    form = wrapped(tmp_path, NAMES)
    form["spark"]["metadata"]["namespace"] = "jobs"
    SparkApplicationOperator(task_id="t", template_spec=form, code_path="local:///job.py", **given).dry_run()
    assert yaml.safe_load(capsys.readouterr().out)["metadata"]["namespace"] == namespace


def test_a_dry_run_prints_the_application(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__BIGDATA__NAMESPACE", "spark-jobs")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    operator(tmp_path, NAMES, image="a:1", name="etl").dry_run()
    printed = yaml.safe_load(capsys.readouterr().out)
    assert re.fullmatch(r"etl-[0-9a-f]{10}-1", printed["metadata"]["name"])
    assert printed["metadata"]["namespace"] == "spark-jobs"
    assert printed["spec"]["image"] == "a:1"
    name = {"name": "SPARK_APPLICATION_NAME", "value": printed["metadata"]["name"]}
    assert printed["spec"]["driver"]["env"] == [name]


def test_an_application_file_needs_no_suffix(tmp_path: Path, context: dict[str, Any]) -> None:
    (tmp_path / "job.py").write_text(NAMES)
    (tmp_path / "manifest").write_text(MANIFEST.format(file=tmp_path / "job.py"))
    task = SparkApplicationOperator(task_id="t", application_file=str(tmp_path / "manifest"), runtime="local")
    assert execute(task, context)["state"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("given", "form", "conn_id"),
    [
        ({}, {}, "by_setting"),
        ({}, {"conn_id": "by_form"}, "by_form"),
        ({"kubernetes_conn_id": "given"}, {"conn_id": "by_form"}, "given"),
        ({"kubernetes_conn_id": "kubernetes_default"}, {}, "kubernetes_default"),
    ],
)
def test_the_connection_is_chosen_when_it_is_needed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    form: dict[str, str],
    conn_id: str,
) -> None:
    task = SparkApplicationOperator(
        task_id="t", template_spec=wrapped(tmp_path, NAMES, **form), code_path="local:///job.py", **given
    )
    assert "kubernetes_conn_id" in task.template_fields
    monkeypatch.setenv("AIRFLOW__BIGDATA__KUBERNETES_CONN_ID", "by_setting")
    assert task.hook.conn_id == conn_id


def test_the_cluster_of_the_form_counts_where_no_argument_says_another(tmp_path: Path) -> None:
    cluster = {"in_cluster": True, "kube_config_file": "/kube/config", "cluster_context": "blue"}
    form: Any = {"template_spec": wrapped(tmp_path, NAMES, **cluster), "code_path": "local:///job.py"}
    hook = SparkApplicationOperator(task_id="t", **form).hook
    assert (hook.in_cluster, hook.config_file, hook.cluster_context) == (True, "/kube/config", "blue")
    assert SparkApplicationOperator(task_id="t", in_cluster=False, **form).hook.in_cluster is False
    hook = SparkApplicationOperator(task_id="u", config_file="/own", cluster_context="red", **form).hook
    assert (hook.in_cluster, hook.config_file, hook.cluster_context) == (True, "/own", "red")


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
