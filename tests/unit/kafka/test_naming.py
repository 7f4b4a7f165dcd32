"""What a task is called at the brokers: the same in each try, another for each task, run and map index."""

import re

from bigdata.kafka.naming import TaskNames


def test_the_names_are_made_of_dag_and_task() -> None:
    names = TaskNames("titanic_events", "send", "manual__2026-11-26T10:00:00+00:00")
    assert names.group == "titanic_events.send"
    assert names.transactional_id.startswith("bigdata.titanic_events.send.manual__2026-11-26T10-00-00-00-00.")
    assert names.delivery() == "titanic_events/manual__2026-11-26T10:00:00+00:00/send"
    assert names.delivery(2).endswith("/send/2")


def test_each_task_instance_has_its_own() -> None:
    made = [
        TaskNames("d", "t", "r"),
        TaskNames("d", "t", "r2"),
        TaskNames("d", "t", "r", 0),
        TaskNames("d", "t", "r", 1),
        TaskNames("d", "t.r", ""),
        TaskNames("d", "t", "r", instance="staging"),
        TaskNames("d", "t", "r" * 300),
        TaskNames("d", "t", "r" * 301),
    ]
    assert len({names.member for names in made}) == len({names.transactional_id for names in made}) == len(made)
    assert len({names.delivery() for names in made}) == len(made) - 1  # the header is for people


def test_brokers_take_them_as_a_members_name() -> None:
    for run_id in ("manual__2026-11-26T10:00:00+00:00", "ü" * 300, ""):
        member = TaskNames("d", "t", run_id, 3).member
        assert re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", member)
