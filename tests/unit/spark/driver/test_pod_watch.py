"""What is still told when a pod has ended; its log is longer than one moment."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bigdata.spark.driver import pod_watch
from bigdata.spark.driver.pod_watch import PodWatch
from bigdata.spark.driver.pods import PodState
from bigdata.spark.runtime import Phase

ENDED = PodState(Phase.FAILED, "Error", has_log=True, exit_code=3)


class Slow(PodWatch):
    """Of a pod that has ended, whose log comes line by line; no API server is asked."""

    lines = 12
    pause = 0.2

    def _follow_states(self) -> None:
        self._queue.put(ENDED)

    def _follow_log(self) -> None:
        for number in range(self.lines):
            time.sleep(self.pause)
            self._queue.put(str(number))


def told(kind: type[PodWatch]) -> list[Any]:
    watch = kind(None, "here", "it", "1", "driver")
    return [event for event in watch.events(0.1) if event is not None]


def test_a_log_is_told_as_long_as_some_of_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_watch, "_LOG_SECONDS", 1.0)
    assert told(Slow) == [*map(str, range(12)), ENDED]


def test_a_log_that_stops_coming_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Slow):
        lines, pause = 1, 3.0

    monkeypatch.setattr(pod_watch, "_LOG_SECONDS", 0.5)
    assert told(Stuck) == [ENDED]
