"""Names of versions, and which of them may go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from publication import ORPHAN_AGE, superseded, version_name

NOW = datetime(2026, 11, 21, 7, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("label", "start"),
    [
        ("manual__2026-11-21T07:05:00+00:00", "manual__2026-11-21T07-05-00-00-00-20261121T070500Z-"),
        ("../../etc", "etc-20261121T070500Z-"),
        ("_hidden", "hidden-20261121T070500Z-"),
        ("a=b", "a-b-20261121T070500Z-"),
        ("ünïcode", "n-code-20261121T070500Z-"),
        ("", "run-20261121T070500Z-"),
        ("x" * 300, "x" * 100 + "-20261121T070500Z-"),
    ],
)
def test_a_version_is_named_after_the_run_and_safe_in_a_path(label: str, start: str) -> None:
    assert version_name(label, NOW).startswith(start)


def test_two_runs_of_one_second_have_two_names() -> None:
    assert version_name("run", NOW) != version_name("run", NOW)


def test_the_version_before_the_previous_one_goes() -> None:
    one, two, three = (version_name("run", NOW - timedelta(minutes=age)) for age in (3, 2, 1))

    assert superseded([one, two, three], {three, two}, one, NOW) == [one]


def test_an_unknown_version_goes_only_when_no_run_can_be_writing_it_any_more() -> None:
    young = version_name("run", NOW - ORPHAN_AGE)
    old = version_name("run", NOW - ORPHAN_AGE - timedelta(seconds=1))

    assert superseded([young, old], set(), None, NOW) == [old]


def test_what_readers_may_be_in_stays_however_old() -> None:
    current, previous = (version_name("run", NOW - timedelta(days=age)) for age in (300, 400))

    assert superseded([current, previous], {current, previous}, None, NOW) == []


def test_folders_of_others_stay() -> None:
    assert superseded(["backup", "run-20200101", ".x"], set(), "backup", NOW) == []
