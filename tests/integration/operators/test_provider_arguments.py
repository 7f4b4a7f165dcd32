"""What works with the provider's operator, and has to with ours: its form of a manifest and its arguments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.providers.cncf.kubernetes.callbacks import KubernetesPodOperatorCallback
from airflow.sdk.exceptions import AirflowSkipException

from bigdata.errors import ApplicationFailed, ConfigError
from bigdata.operators.spark_application import SparkApplicationOperator

from .jobs import MANIFEST, Said, execute, operator

pytestmark = pytest.mark.integration

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
