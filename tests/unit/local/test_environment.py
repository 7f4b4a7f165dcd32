import json
import sys
from pathlib import Path

from bigdata.local.environment import airflow_environment


def test_everything_lies_under_the_state_folder(tmp_path):
    environ = airflow_environment(tmp_path, {"PATH": "/bin"})
    state = tmp_path / ".bigdata"
    assert environ["AIRFLOW_HOME"] == str(state / "airflow")
    assert environ["AIRFLOW_CONFIG"] == str(state / "airflow" / "airflow.cfg")
    assert environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{state}/airflow/airflow.db"
    assert environ["AIRFLOW__CORE__DAGS_FOLDER"] == str(tmp_path / "dags")


def test_connections_are_there_before_the_stack_is(tmp_path):
    environ = airflow_environment(tmp_path, {})
    file = Path(json.loads(environ["AIRFLOW__SECRETS__BACKEND_KWARGS"])["connections_file_path"])
    assert file.read_text() == "{}\n"


def test_the_programs_of_this_python_come_first_and_once(tmp_path):
    venv = str(Path(sys.prefix) / "bin")
    first = airflow_environment(tmp_path, {"PATH": f"/bin:{venv}:/usr/bin"})
    assert first["PATH"] == f"{venv}:/bin:/usr/bin"
    assert airflow_environment(tmp_path, first) == first


def test_the_runtime_that_was_chosen_is_kept(tmp_path):
    # Neither set nor changed: airflow.cfg may choose it, and a variable of the user's wins over that.
    assert "AIRFLOW__BIGDATA__RUNTIME" not in airflow_environment(tmp_path, {"AIRFLOW__BIGDATA__RUNTIME": "kubernetes"})


def test_another_airflows_home_and_database_are_not_used(tmp_path):
    other = {"AIRFLOW_HOME": "/other", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://production"}
    environ = airflow_environment(tmp_path, other)
    assert environ["AIRFLOW_HOME"].startswith(str(tmp_path))
    assert environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith(f"sqlite:///{tmp_path}")


def test_a_state_folder_elsewhere_is_followed(tmp_path):
    environ = airflow_environment(tmp_path, {"AIRFLOW__BIGDATA__STATE_DIR": str(tmp_path / "elsewhere")})
    assert environ["AIRFLOW_HOME"] == str(tmp_path / "elsewhere" / "airflow")


def test_pythonpath_is_left_alone(tmp_path):
    assert "PYTHONPATH" not in airflow_environment(tmp_path, {"PYTHONPATH": "/x"})
