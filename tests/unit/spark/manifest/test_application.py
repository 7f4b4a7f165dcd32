"""What is made of a checked application before it is submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bigdata.errors import ManifestError
from bigdata.spark.kubernetes.tries import digest
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load
from bigdata.spark.naming import NAME_VARIABLE, TaskTry, plain_name

PI = Path(__file__).parents[4] / "spark_jobs" / "spark_pi.yaml"


def pi(**spec: Any) -> Application:
    return load(PI).with_spec(**spec)


def test_a_variable_reaches_both_roles_and_comes_first() -> None:
    spec = pi(driver={"env": [{"name": "A", "value": "$(X)"}]}).with_variable("X", "1").spec
    assert spec["driver"]["env"] == [{"name": "X", "value": "1"}, {"name": "A", "value": "$(X)"}]
    assert spec["executor"]["env"] == [{"name": "X", "value": "1"}]


@pytest.mark.parametrize(
    "own",
    [
        {"env": [{"name": "X", "value": "mine"}]},
        {"envVars": {"X": "mine"}},
        {"envSecretKeyRefs": {"X": {"name": "secret", "key": "key"}}},
    ],
)
def test_a_variable_of_the_manifest_stays(own: dict[str, Any]) -> None:
    before = pi(driver=own)
    after = before.with_variable("X", "1")
    assert after.spec["driver"] == before.spec["driver"]
    assert after.spec["executor"]["env"] == [{"name": "X", "value": "1"}]


def named(number: int, application: Application) -> Application:
    task_try = TaskTry("d", "t", "r", try_number=number)
    return application.with_name(task_try.name).with_variable(NAME_VARIABLE, task_try.name)


def test_the_name_in_the_environment_does_not_tell_tries_apart() -> None:
    for application in (pi(), pi(driver={"env": [{"name": "A", "value": "a"}]})):
        first, second = named(1, application), named(2, application)
        assert first.spec != second.spec
        assert digest(first) == digest(second) == digest(application)


def test_a_name_that_the_manifest_chose_does() -> None:
    one, other = (pi(driver={"env": [{"name": NAME_VARIABLE, "value": value}]}) for value in ("one", "other"))
    assert digest(named(1, one)) == digest(named(2, one)) != digest(named(1, other))


@pytest.mark.parametrize(
    ("text", "name"),
    [("my-etl", "my-etl"), ("My_ETL v2", "my-etl-v2"), ("a" * 70, "a" * 63), ("a" * 62 + "-b", "a" * 62), ("-a-", "a")],
)
def test_a_plain_name_is_the_text_as_kubernetes_takes_it(text: str, name: str) -> None:
    assert plain_name(text) == name


def test_a_file_needs_no_suffix_if_it_exists(tmp_path: Path) -> None:
    file = tmp_path / "manifest"
    file.write_text(PI.read_text())
    assert load(f"{file}\n").to_dict() == load(PI).to_dict()
    assert load(str(file)).source == str(file)
    with pytest.raises(ManifestError, match="<inline>"):
        load(str(tmp_path / "none"))
    with pytest.raises(ManifestError, match="<inline>"):
        load("x" * 10_000)
    with pytest.raises(ManifestError, match=r"none\.yaml: cannot be read"):
        load(str(tmp_path / "none.yaml"))


def test_fields_from_outside_replace_the_manifests(tmp_path: Path) -> None:
    found = load(PI, spec={"image": "a:1", "mainApplicationFile": "local:///other.py"})
    assert (found.spec["image"], found.spec["mainApplicationFile"]) == ("a:1", "local:///other.py")
    schedule = {**load(PI).to_dict(), "kind": "ScheduledSparkApplication"}
    schedule["spec"] = {"schedule": "@daily", "template": schedule["spec"]}
    assert load(schedule, spec={"image": "a:1"}).spec["image"] == "a:1"
    with pytest.raises(ManifestError, match="mainApplicationFile"):
        load(PI, spec={"mainApplicationFile": "/no/scheme.py"})


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("bigdata/spark:4.2.0", "example.org:5000/ours/bigdata/spark:4.2.0"),
        ("spark:4", "example.org:5000/ours/spark:4"),
        ("ghcr.io/apache/spark:4", "ghcr.io/apache/spark:4"),
        ("localhost/spark:4", "localhost/spark:4"),
        ("registry:5000/spark:4", "registry:5000/spark:4"),
    ],
)
def test_an_image_without_a_registry_gets_one(image: str, expected: str) -> None:
    found = pi(image=image, executor={"image": image}).with_registry("example.org:5000/ours").spec
    assert (found["image"], found["executor"]["image"]) == (expected, expected)
    assert "image" not in found["driver"]
    assert pi(image=image).with_registry("").spec["image"] == image
