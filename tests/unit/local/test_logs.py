import itertools
from pathlib import Path

from bigdata.local.logs import last_lines, tail


def test_the_last_lines_of_a_log(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert last_lines(log, 2) == ["line 998", "line 999"]
    assert last_lines(log, 0) == []


def test_a_log_that_is_not_there_has_no_lines(tmp_path):
    assert last_lines(tmp_path / "log", 5) == []


def test_several_logs_with_their_names(tmp_path):
    for name in ("kafka", "s3"):
        (tmp_path / name).write_text(f"{name} says hello\n")
    logs = {name: tmp_path / name for name in ("kafka", "s3")}
    assert list(tail(logs, 5, follow=False)) == [("kafka", "kafka says hello"), ("s3", "s3 says hello")]


def add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_following_gives_whole_lines_and_survives_a_restart(tmp_path):
    log = tmp_path / "log"
    log.write_text("old\n")
    lines = tail({"kafka": log}, 1, follow=True)
    assert next(lines) == ("kafka", "old")
    add(log, "ha")
    add(log, "lf\nnext\n")
    assert [line for _, line in itertools.islice(lines, 2)] == ["half", "next"]
    log.write_text("new\n")
    assert next(lines) == ("kafka", "new")
