"""docs/provider.md has a row for every argument of the provider's operator, is of its version, and links issues."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import version
from pathlib import Path

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

PAGE = (Path(__file__).parents[2] / "docs" / "provider.md").read_text()
ARGUMENTS, _, BEYOND = PAGE.partition("## Behaviour beyond arguments")
LINK = r"\[((?:spark-operator )?#\d+)\]"


def arguments(operator: type) -> set[str]:
    return set(inspect.signature(operator.__init__).parameters) - {"self", "kwargs"}


def named() -> list[str]:
    """What stands in the first column of the tables of arguments."""
    rows = [line.split("|")[1] for line in ARGUMENTS.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_each_argument_has_its_row() -> None:
    assert "deferrable" in arguments(KubernetesPodOperator)
    assert arguments(SparkKubernetesOperator) | arguments(KubernetesPodOperator) == set(named())
    assert len(named()) == len(set(named()))


def test_the_page_is_of_the_provider_that_is_installed() -> None:
    name = "apache-airflow-providers-cncf-kubernetes"
    assert f"{name} {version(name)};" in PAGE


def test_each_issue_is_told_and_linked_by_its_own_number() -> None:
    links = dict(re.findall(rf"^{LINK}: (\S+)$", PAGE, re.MULTILINE))
    told = set(re.findall(rf"^\| {LINK} \| \S", BEYOND, re.MULTILINE))
    cited = set(re.findall(LINK, PAGE[: PAGE.index("## The issues")]))
    assert cited
    assert cited == told == set(links)
    for issue, url in links.items():
        project = "kubeflow/spark-operator" if "spark-operator" in issue else "apache/airflow"
        assert re.fullmatch(rf"https://github\.com/{project}/(issues|pull)/{issue.rpartition('#')[2]}", url)
