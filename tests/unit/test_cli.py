import json
import os
import shlex
import subprocess
import sys

import pytest

from bigdata import cli
from bigdata.local.stack import SERVICES


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("dags", "spark_jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "pyproject.toml").touch()
    for key in [key for key in os.environ if key.startswith("AIRFLOW")]:
        monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_status_of_a_project_that_never_ran(project, capsys):
    assert cli.main(["local", "status"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["SERVICE", "STATE", "PID", "ADDRESS", "VERSION", "SINCE"]
    assert [line.split()[:2] for line in out[1:]] == [["kafka", "down"], ["s3", "down"]]
    assert not (project / ".bigdata").exists()


def test_status_for_programs(project, capsys):
    assert cli.main(["local", "status", "--json"]) == 1
    assert [(found["name"], found["state"]) for found in json.loads(capsys.readouterr().out)] == [
        ("kafka", "down"),
        ("s3", "down"),
    ]


def test_down_with_nothing_up_is_fine(project, capsys):
    assert cli.main(["local", "down"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["local", "logs"], f"{' and '.join(SERVICES)}: no log: never started here. run: bigdata local up"),
        (["local", "up", "postgres"], f"no service 'postgres': there are {', '.join(SERVICES)}"),
    ],
)
def test_errors_are_one_line(project, capsys, arguments, message):
    assert cli.main(arguments) == 1
    assert capsys.readouterr().err == f"bigdata: {message}\n"


def test_a_folder_that_is_no_project_is_named(project, tmp_path_factory, monkeypatch, capsys):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    assert cli.main(["local", "status"]) == 1
    assert f"bigdata: {elsewhere} is not in a checkout" in capsys.readouterr().err


def test_a_project_that_was_entered_is_used_from_anywhere(project, tmp_path_factory, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW__BIGDATA__PROJECT_DIR", str(project))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    (project / ".bigdata" / "log").mkdir(parents=True)
    (project / ".bigdata" / "log" / "s3.log").write_text("hello\n")
    assert cli.main(["local", "logs"]) == 0
    assert capsys.readouterr().out == "s3 | hello\n"


def test_env_enters_the_project_one_stands_in(project, tmp_path_factory, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW__BIGDATA__PROJECT_DIR", str(tmp_path_factory.mktemp("other")))
    assert cli.main(["env"]) == 0
    assert f"export AIRFLOW__BIGDATA__PROJECT_DIR={project}\n" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_shells_take_what_env_prints(project, shell, tmp_path):
    if subprocess.run(["which", shell], capture_output=True, check=False).returncode:
        pytest.skip(f"no {shell} here")
    awkward = tmp_path / "it's a $HOME `x`"
    awkward.mkdir()
    for name in ("dags", "spark_jobs"):
        (awkward / name).mkdir()
    (awkward / "pyproject.toml").touch()
    script = f'eval "$({shlex.quote(sys.executable)} -m bigdata.cli env)" && printf %s "$AIRFLOW_HOME"'
    done = subprocess.run([shell, "-c", script], cwd=awkward, capture_output=True, text=True, check=True)
    assert done.stdout == str(awkward / ".bigdata" / "airflow")


def test_a_port_that_is_none_is_refused(project, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["local", "up", "--kafka-port", "http"])
    assert caught.value.code == 2
    assert "'http' is no port" in capsys.readouterr().err


def test_it_starts_without_airflow_and_leaves_no_home(project):
    program = (
        "import sys; from bigdata import cli; cli.main(['local', 'status']); "
        "print([name for name in sys.modules if name.startswith(('airflow', 'pyspark', 'kafka', 'boto3'))])"
    )
    environ = {**os.environ, "HOME": str(project)}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert not (project / "airflow").exists()


def test_a_reader_that_has_seen_enough_is_no_error(project):
    (project / ".bigdata" / "log").mkdir(parents=True)
    (project / ".bigdata" / "log" / "kafka.log").write_text("line\n" * 100_000)
    script = f"set -o pipefail; {shlex.quote(sys.executable)} -m bigdata.cli local logs kafka -n 100000 | head -1"
    done = subprocess.run(["bash", "-c", script], cwd=project, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "line\n", "")
