"""An application's name can be worked out again by anybody who knows the task's try."""

from __future__ import annotations

import random
import string
from dataclasses import replace

import pytest

from bigdata.spark.manifest.rules import DNS_1035, labels
from bigdata.spark.naming import LONGEST, TaskTry, all_runs, label_value, same_task

TRY = TaskTry("titanic_etl", "transform", "manual__2026-11-21T07:00:00+00:00")


def test_it_is_readable_and_always_the_same() -> None:
    assert TRY.name == "titanic-etl-transform-1b0bcef2cb-1"
    assert TRY.labels == {
        "airflow-bigdata/dag-id": "titanic_etl",
        "airflow-bigdata/task-id": "transform",
        "airflow-bigdata/run-id": "manual__2026-11-21T07.00.00.00.00-9171721ad3",
        "airflow-bigdata/try-number": "1",
    }
    assert replace(TRY, map_index=3).labels["airflow-bigdata/map-index"] == "3"


@pytest.mark.parametrize(
    "change",
    [{"dag_id": "titanic"}, {"task_id": "t"}, {"run_id": "x"}, {"map_index": 0}, {"try_number": 2}, {"instance": "x"}],
)
def test_every_part_counts(change: dict[str, str]) -> None:
    assert replace(TRY, **change).name != TRY.name


def test_tries_are_found_by_the_same_airflow_alone() -> None:
    plain, staging = same_task(TRY.labels), same_task(replace(TRY, instance="staging").labels)
    assert "!airflow-bigdata/instance" in plain.split(",")
    assert "airflow-bigdata/instance=staging" in staging.split(",")
    assert "airflow-bigdata/instance=staging" in all_runs(replace(TRY, instance="staging").task_labels).split(",")
    assert same_task(replace(TRY, try_number=2).labels) == plain


def test_parts_are_kept_apart() -> None:
    assert TaskTry("a", "b-c", "r").name != TaskTry("a-b", "c", "r").name
    assert TaskTry("a", "b", "r1").name != TaskTry("a", "br", "1").name


def test_long_ids_are_cut_and_still_differ() -> None:
    names = {TaskTry("d" * 250, "t" * 240 + str(index), "r", index, 12).name for index in range(50)}
    assert len(names) == 50
    assert {len(name) for name in names} == {LONGEST}


@pytest.mark.parametrize("text", ["", "ä", "7", "-", "x-driver", "UPPER_case", "x" * 300, "emoji 🚢", "a.b.c", "__"])
def test_any_id_gives_a_valid_name_and_valid_labels(text: str) -> None:
    found = TaskTry(text, text, text, 10**6, 999)
    assert DNS_1035.fullmatch(found.name)
    assert len(found.name) <= LONGEST
    assert not list(labels(found.labels, ()))


def test_random_ids_too() -> None:
    chance = random.Random(7)
    for _ in range(500):
        dag, task, run = ("".join(chance.choices(string.printable + "äß§", k=chance.randint(0, 80))) for _ in range(3))
        found = TaskTry(dag, task, run, chance.randint(-1, 99), chance.randint(1, 99))
        assert DNS_1035.fullmatch(found.name), found
        assert len(found.name) <= LONGEST
        assert not list(labels(found.labels, ())), found


def test_a_label_value_is_left_alone_when_it_is_valid() -> None:
    assert label_value("titanic_etl") == "titanic_etl"
    assert label_value("a" * 63) == "a" * 63
    assert label_value("a" * 64) != label_value("a" * 65)
    assert label_value("a b") != label_value("a.b")
