"""A stream whose driver is killed, with no chance to clean up, delivers each record once all the same."""

from __future__ import annotations

import random
import time

import pytest

from ...waiting import soon
from .conftest import RunStream, tree_kill
from .streams import Stream

pytestmark = pytest.mark.integration

KILLS = 25


def test_drivers_killed_at_the_doors_of_delivery(stream: Stream, run_stream: RunStream) -> None:
    """And the one after them, which is not killed, delivers all of it, once."""
    stream.passengers(300)
    small = "--max-offsets-per-trigger=100"

    out = stream.dies("batch_log.Attempt.deliver", small, call=2)  # written, not delivered
    assert "batch 0: " in out
    assert [batch.number for batch in stream.batches()] == [0]
    left = max(stream.folders())
    assert left.startswith("000000000001-")

    stream.dies("batch_log.BatchLog.delivered", small)  # delivered, but Spark does not know
    assert [batch.number for batch in stream.batches()] == [0, 1]
    before = sum(stream.delivered().values())
    assert max(stream.delivered().values()) == 1

    stream.passengers(200)
    outcome = run_stream(small)
    assert "titanic_stream: batch 1 was delivered by an earlier driver" in outcome.out
    assert left not in stream.folders()
    assert stream.delivered() == stream.there()
    assert (before + outcome.result["rows"], sum(stream.delivered().values())) == (500, 500)


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["available-now", "continuous"])
def test_drivers_killed_at_any_moment(stream: Stream, mode: str) -> None:
    """Many kills, each at a random moment of small batches, while records come in waves."""
    chance = random.Random(7)
    more = ("--max-offsets-per-trigger=60", f"--mode={mode}", "--trigger-seconds=1", "--run-seconds=600")
    killed, left = 0, set()
    for number in range(KILLS):
        stream.passengers(chance.randrange(100, 250))
        before = stream.keys("checkpoint/offsets/")
        process = stream.job(*more)
        assert soon(
            lambda seen=before, job=process: stream.keys("checkpoint/offsets/") != seen or job.poll() is not None
        )
        time.sleep(chance.uniform(0, 4))  # two or three batches
        tree_kill(process.pid)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (-9, 0), out + err
        killed += process.returncode == -9
        left |= stream.folders()
        if number % 5 == 4:
            assert max(stream.delivered().values()) == 1
    process = stream.job("--max-offsets-per-trigger=5000")
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    batches = stream.batches()
    orphans = len(left | stream.folders()) - len(batches)
    print(f"{mode}: {killed} killed, {len(batches)} batches, {orphans} half-written, {stream.sent} records")
    assert stream.delivered() == stream.there()
    assert sum(stream.delivered().values()) == stream.sent
