"""1,000 deferred tasks in one real triggerer: ours on SparkApplications, beside the provider's on driver pods.

Nothing runs: the SparkApplications are in a namespace that no operator watches, the pods carry a scheduling gate, and
this script moves the status of both. Airflow's own share is measured in the same run: a triggerer without triggers, and
one whose triggers only sleep. Everything that was made is deleted at the end.

The triggerer has an account of its own, whose requests the API server counts. A finish is noticed when the triggerer
has handed the task back to the scheduler, by the time that it writes into Airflow's database; the clock starts with the
request that moves the status.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from waits.cluster import Cluster
from waits.objects import Ours, Provider, Sleepers
from waits.triggerer import FIRED, Airflow, Triggerer

PATIENCE = 180.0  # seconds to wait for the start of all triggers, and for the last end to be noticed
CORE, MEMORY, NOTICED = 5.0, 300, 2.0  # the aims: % of a core, MB, seconds


@dataclass
class Figures:
    """What one triggerer took."""

    name: str
    number: int
    started: int
    connections: int
    idle_requests: int
    end_requests: int
    cpu: list[float]
    memory: dict[str, list[int]]
    fired: list[float]
    noticed: list[float]
    blocked: int
    load: float


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr)


def wait_until_started(airflow: Airflow, waits: Sleepers) -> int:
    """Returns how many triggers wait for their object's end."""
    deadline, found = time.monotonic() + PATIENCE, 0
    while found < waits.number and time.monotonic() < deadline:
        time.sleep(2)
        found = len(airflow.said(waits.name, waits.running))
    return found


def idle(triggerer: Triggerer, port: int, seconds: float) -> tuple[int, list[float]]:
    """Connections at the end, and % of a core by process."""
    before, start = triggerer.cpu(), time.monotonic()
    time.sleep(seconds)
    after, passed = triggerer.cpu(), time.monotonic() - start
    return triggerer.connections(port), [(b - a) / passed * 100 for a, b in zip(before, after, strict=True)]


def ends(airflow: Airflow, waits: Sleepers) -> tuple[list[float], list[float]]:
    """Seconds from each end until its trigger fired, and until its task was handed back."""
    asked = waits.end()
    deadline, left = time.monotonic() + PATIENCE, {}
    while len(left) < waits.number and time.monotonic() < deadline:
        time.sleep(2)
        left = airflow.left(waits.name)
    if wrong := [how for _, how in left.values() if not waits.succeeded.match(how)]:
        raise SystemExit(f"{waits.name}: {len(wrong)} tasks did not go on as after an end, but such as: {wrong[0]}")
    fired = airflow.said(waits.name, FIRED)
    return (
        sorted(fired[number] - asked[number] for number in fired),
        sorted(when - asked[number] for number, (when, _) in left.items()),
    )


def measure(airflow: Airflow, waits: Sleepers, seconds: float) -> Figures:
    """One triggerer, from start to stop."""
    say(f"{waits.name}: {waits.number} triggers")
    with airflow.triggerer() as triggerer:
        # Sleepers end by themselves: Airflow takes about 50 triggers a second, after they have been stored.
        triggers = waits.triggers(time.time() + seconds + 60 + waits.number * 0.05)
        airflow.defer(waits.name, triggers)
        started = wait_until_started(airflow, waits)
        say(f"{waits.name}: {started} wait; idle for {seconds:.0f} s")
        time.sleep(10)
        load = os.getloadavg()[0]
        counts = [waits.cluster.requests()]
        connections, cpu = idle(triggerer, waits.cluster.port, seconds)
        counts.append(waits.cluster.requests())
        memory = triggerer.memory()
        say(f"{waits.name}: ending over {waits.spread:.0f} s")
        fired, noticed = ends(airflow, waits)
        counts.append(waits.cluster.requests())
        blocked = triggerer.blocked()
    airflow.forget(waits.name)
    requests = [after - before for before, after in pairwise(counts)]
    return Figures(
        waits.name, waits.number, started, connections, *requests, cpu, memory, fired, noticed, blocked, load
    )


def spread(delays: list[float]) -> str:
    """p50, p99 and most."""
    if not delays:
        return "-"
    cuts = statistics.quantiles(delays, n=100) if len(delays) > 1 else delays * 99
    return " / ".join(f"{item:.2f}" for item in (cuts[49], cuts[98], delays[-1]))


def added(items: Sequence[float]) -> str:
    return " + ".join(f"{item:.1f}" if isinstance(item, float) else str(item) for item in items)


def show(rows: list[Figures]) -> None:
    lines: list[tuple[str, Any]] = [
        ("triggers that wait", lambda row: f"{row.started} of {row.number}"),
        ("connections to the API server, idle", lambda row: row.connections),
        ("requests while idle", lambda row: row.idle_requests),
        ("requests from then until all have ended", lambda row: row.end_requests),
        ("% of a core, idle", lambda row: f"{sum(row.cpu):.1f}"),
        ("  supervisor + runner", lambda row: added(row.cpu)),
        ("memory, PSS, MB", lambda row: sum(row.memory["PSS"])),
        ("  supervisor + runner", lambda row: added(row.memory["PSS"])),
        ("memory, RSS, MB, supervisor + runner", lambda row: added(row.memory["RSS"])),
        ("trigger fired after s, p50 / p99 / most", lambda row: spread(row.fired)),
        ("task goes on after s, p50 / p99 / most", lambda row: spread(row.noticed)),
        ("ends noticed", lambda row: f"{len(row.noticed)} of {row.number}"),
        ("Airflow said that its loop was blocked", lambda row: row.blocked),
        ("load average", lambda row: f"{row.load:.1f}"),
    ]
    print(f"{'':<44}" + "".join(f"{row.name:>24}" for row in rows))
    for title, cell in lines:
        print(f"{title:<44}" + "".join(f"{cell(row)!s:>24}" for row in rows))


def judge(ours: Figures) -> None:
    met = {
        f"one connection, idle: {ours.connections}": ours.connections == 1,
        f"under {CORE:.0f} % of a core, idle: {sum(ours.cpu):.1f} %": sum(ours.cpu) < CORE,
        f"under {MEMORY} MB: {sum(ours.memory['PSS'])} MB": sum(ours.memory["PSS"]) < MEMORY,
        f"every finish noticed within {NOTICED:.0f} s: {spread(ours.noticed)}": (
            len(ours.noticed) == ours.number and ours.noticed[-1] <= NOTICED
        ),
    }
    for aim, is_met in met.items():
        print(f"{'met   ' if is_met else 'MISSED'} {aim}")


def compare(ours: Figures, provider: Figures) -> None:
    ratios = {
        "connections": provider.connections / max(1, ours.connections),
        "CPU": sum(provider.cpu) / sum(ours.cpu),
        "memory": sum(provider.memory["PSS"]) / sum(ours.memory["PSS"]),
        "p50": statistics.median(provider.noticed or [float("nan")]) / statistics.median(ours.noticed),
        "last": (provider.noticed or [float("nan")])[-1] / ours.noticed[-1],
    }
    print("provider / ours: " + ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--applications", type=int, default=1000)
    parser.add_argument("--idle-seconds", type=float, default=60)
    parser.add_argument("--spread-seconds", type=float, default=30, help="over which the ends are spread")
    parser.add_argument("--without-floor", action="store_true", help="leave out what Airflow itself takes")
    parser.add_argument("--only", choices=["ours", "provider"])
    options = parser.parse_args()
    if not os.environ.get("KUBECONFIG"):
        print("waiting.py: skipped, as KUBECONFIG is not set: it needs a cluster with the Spark operator's CRD")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Airflow keeps a log file open for each trigger.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    number = options.applications
    with tempfile.TemporaryDirectory(prefix="waiting-") as folder, Cluster() as cluster:
        cluster.write_config(Path(folder) / "config")
        airflow = Airflow(Path(folder), number, Path(folder) / "config")
        spread = options.spread_seconds
        contenders = [kind(cluster, number, spread) for kind in (Ours, Provider) if options.only in (None, kind.name)]
        empty = Sleepers(cluster, 0, 0.0)
        empty.name = "nothing"
        floor = [] if options.without_floor else [empty, Sleepers(cluster, number, spread)]
        rows = [measure(airflow, waits, options.idle_seconds) for waits in (*floor, *contenders)]
    show(rows)
    found = {row.name: row for row in rows}
    if "ours" in found:
        judge(found["ours"])
    if len(contenders) > 1:
        compare(found["ours"], found["provider"])


if __name__ == "__main__":
    main()
