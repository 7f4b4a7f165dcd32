"""Reading a pod's log in pieces that overlap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bigdata.spark.driver.pod_watch import _LogReader

LOG = [
    "2026-11-21T08:00:00.1Z a",
    "2026-11-21T08:00:00.100000001Z b",
    "2026-11-21T08:00:00.100000001Z c",
    "2026-11-21T08:00:00.100000001Z c",
    "2026-11-21T08:00:00.2Z ",
    "2026-11-21T08:00:01Z d e",
]
TEXT = ["a", "b", "c", "c", "", "d e"]


def test_the_api_server_leaves_zeros_out() -> None:
    reader = _LogReader()
    assert reader.since() == {}
    assert list(reader.new(iter(LOG))) == TEXT


def test_wherever_a_read_ends_the_next_one_goes_on() -> None:
    for end in range(len(LOG) + 1):
        for start in range(end + 1):
            # The server gives whole seconds back; a start after the last instant read would be a gap of its own.
            if start and start > next(
                (i for i, line in enumerate(LOG) if line.split()[0] == LOG[end - 1].split()[0]), 0
            ):
                continue
            reader = _LogReader()
            reader.since()
            first = list(reader.new(iter(LOG[:end])))
            reader.since()
            assert [*first, *reader.new(iter(LOG[start:]))] == TEXT, (start, end)


@pytest.mark.parametrize("behind", [timedelta(seconds=-50), timedelta(), timedelta(seconds=50), timedelta(hours=1)])
def test_the_next_read_begins_before_the_last_line_whatever_the_nodes_clock_says(behind: timedelta) -> None:
    now_there = datetime.now(UTC) - behind
    last = now_there - timedelta(seconds=20)
    reader = _LogReader()
    reader.since()
    list(reader.new(iter([f"{last:%Y-%m-%dT%H:%M:%S.%f}Z a"])))
    begins = now_there - timedelta(seconds=reader.since()["since_seconds"])
    assert begins < last
