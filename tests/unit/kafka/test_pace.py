from __future__ import annotations

from bigdata.kafka.pace import Pace


def test_the_first_poll_is_small_enough_for_half_a_minute_a_record() -> None:
    assert Pace(5_000).size * 30 <= 300


def test_fast_handlers_soon_get_all_that_a_poll_may_bring() -> None:
    pace = Pace(5_000)
    for _ in range(3):
        pace.took(pace.size, pace.size * 1e-5)
    assert pace.size == 5_000


def test_a_handler_that_becomes_slow_gets_less_at_once() -> None:
    pace = Pace(5_000)
    for _ in range(3):
        pace.took(pace.size, 0.0)
    pace.took(5_000, 500.0)
    assert pace.size == 20


def test_a_record_that_takes_longer_than_a_poll_should_comes_alone() -> None:
    pace = Pace(5_000)
    pace.took(10, 600.0)
    assert pace.size == 1


def test_a_poll_brings_no_more_than_it_may() -> None:
    assert Pace(3).size == 3
