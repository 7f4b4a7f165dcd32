"""Applications on this machine, by the real spark-submit."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from bigdata.errors import ApplicationGone
from bigdata.spark.manifest.loading import load
from bigdata.spark.runtime import Phase, submitted
from bigdata.spark.submit import guard

from ...waiting import soon
from .conftest import JOBS, SECRET, Bench, probe

pytestmark = pytest.mark.integration

PI = Path(__file__).parents[3] / "spark_jobs" / "spark_pi.yaml"


def running(bench: Bench) -> list[psutil.Process]:
    """All processes of all runs of this bench."""
    mark = str(bench.settings.runs_dir)
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(guard.MARK, "").startswith(mark) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def assert_nothing_is_left(bench: Bench) -> None:
    assert running(bench) == []
    assert list(bench.settings.runs_dir.iterdir()) == []
    assert list(Path().iterdir()) == []


def events(uri: str) -> list[dict[str, Any]]:
    """A whole event log."""
    import pyarrow

    found = []
    folder = Path(urlsplit(uri).path)
    for file in sorted(folder.glob("events_*")):
        with pyarrow.CompressedInputStream(pyarrow.OSFile(str(file)), "zstd") as stream:
            found += [json.loads(line) for line in stream.read().splitlines()]
    return found


def test_spark_pi_as_the_cluster_gets_it(bench: Bench) -> None:
    states = []
    outcome = bench.run(load(PI), lambda state: states.append(state.phase))
    assert states == [Phase.PENDING, Phase.RUNNING, Phase.SUCCEEDED]
    assert (outcome.phase, outcome.exit_code) == (Phase.SUCCEEDED, 0)
    assert bench.said("Pi is roughly").startswith("3.1")
    assert set(outcome.seconds) == {"PENDING", "RUNNING"}
    (skipped,) = [line for line in bench.lines if line.startswith("Not applied on this machine: ")]
    assert "spec.image, spec.imagePullPolicy, spec.restartPolicy, spec.driver.coreRequest" in skipped
    log = events(outcome.event_log)
    assert log[0]["Event"] == "SparkListenerLogStart"
    assert log[-1]["Event"] == "SparkListenerApplicationEnd"
    assert {event["App ID"] for event in log if "App ID" in event} == {outcome.application_id}
    assert not list(Path(urlsplit(outcome.event_log).path).glob("*.inprogress"))
    assert_nothing_is_left(bench)


def test_the_log_comes_live_without_secrets_and_the_ui_answers(bench: Bench, tmp_path: Path) -> None:
    applications: list[Any] = []
    commands: list[str] = []

    def look(line: str) -> None:
        if line.startswith("variables"):
            commands.extend(" ".join(process.cmdline()) for process in running(bench))
            with urllib.request.urlopen(f"{bench.urls[0]}/api/v1/applications", timeout=30) as answer:
                applications.extend(json.load(answer))
            (tmp_path / "go").touch()

    bench.on_line = look
    outcome = bench.run(
        probe(
            "talk",
            str(tmp_path),
            driver={
                "env": [{"name": "MODE", "value": "test"}],
                "envSecretKeyRefs": {"SECRET_KEY": {"name": "aws-credentials", "key": "secret_key"}},
            },
            hadoopConf={"fs.s3a.secret.key": "in-the-manifest"},
        )
    )
    outcome.check("probe")
    talk = [line for line in bench.lines if line.startswith(("out ", "err "))]
    assert talk == [f"{stream} {index}" for index in range(5) for stream in ("out", "err")]
    assert bench.said("told to end") == ""
    assert bench.said("the key is") == "***"
    assert bench.said("variables") == "['MODE', 'SPARK_HOME']"
    assert not any(SECRET in line for line in bench.lines)
    assert any("org.apache.spark.deploy.SparkSubmit" in command for command in commands)
    assert any("probe.py talk" in command for command in commands)
    assert not any(SECRET in command or "in-the-manifest" in command for command in commands)
    assert [item["id"] for item in applications] == [outcome.application_id]
    assert [outcome.ui_url] == bench.urls
    assert bench.urls[0].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("what", "code", "reason"),
    [
        ("fail", 1, "ValueError: the passengers are missing"),
        ("fail_in_worker", 1, "ZeroDivisionError: integer division or modulo by zero"),
        ("fail_in_jvm", 1, "[PATH_NOT_FOUND] Path does not exist: file:/no/such/folder."),
        ("leave", 3, "the driver ended with exit code 3"),
    ],
)
def test_the_exception_becomes_the_reason(bench: Bench, what: str, code: int, reason: str) -> None:
    outcome = bench.run(probe(what))
    assert (outcome.phase, outcome.exit_code, outcome.raw) == (Phase.FAILED, code, f"exit code {code}")
    assert reason in outcome.reason
    assert any(("input is empty" if what == "leave" else "probe.py") in line for line in outcome.last_lines)
    assert events(outcome.event_log)[-1]["Event"] == "SparkListenerApplicationEnd"
    assert_nothing_is_left(bench)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"driver": {"memory": "9999999999999t"}}, "Invalid maximum heap size: -Xmx9999999999999t"),
        ({"mainApplicationFile": "https://127.0.0.1:1/x.py"}, "java.net.ConnectException: Connection refused"),
        (
            {
                "type": "Java",
                "mainApplicationFile": "local:///opt/spark/jars/spark-core_2.13-4.2.0.jar",
                "mainClass": "Nope",
            },
            "Failed to load class Nope.",
        ),
    ],
)
def test_a_driver_that_cannot_start(bench: Bench, spec: dict[str, Any], reason: str) -> None:
    outcome = bench.run(probe("hello", **spec))
    assert outcome.phase == Phase.FAILED
    assert outcome.reason == reason
    assert outcome.event_log == ""


def test_a_java_application(bench: Bench) -> None:
    jar = "local:///opt/spark/jars/spark-core_2.13-4.2.0.jar"
    main = "org.apache.hadoop.util.VersionInfo"
    bench.run(probe(type="Java", mainApplicationFile=jar, mainClass=main, arguments=[])).check("probe")
    assert bench.said("Hadoop ") == "3.5.0"


def test_cancelling_ends_java_and_python_workers(bench: Bench, tmp_path: Path) -> None:
    runtime = bench.runtime()
    handle = runtime.submit(probe("work", str(tmp_path)))
    states = []
    observer = threading.Thread(target=lambda: states.extend(runtime.observe(handle)))
    observer.start()
    assert soon(lambda: len(list(tmp_path.glob("working-*"))) == 2)
    tree = running(bench)
    names = [process.name() for process in tree]
    assert sum("java" in name for name in names) == 1
    # The driver, PySpark's daemon, two workers.
    assert sum("python" in name.lower() for name in names) == 4
    assert len({os.getpgid(process.pid) for process in tree}) > 1
    runtime.cancel(handle)
    assert running(bench) == []
    observer.join(30)
    assert states[-1].phase == Phase.GONE
    with pytest.raises(ApplicationGone, match="probe is gone: it was cancelled"):
        states[-1].outcome.check("probe")
    runtime.cancel(handle)
    assert_nothing_is_left(bench)


def test_an_exception_in_the_caller_ends_a_driver_that_nobody_listens_to(bench: Bench, tmp_path: Path) -> None:
    began = 0.0

    def interrupt(line: str) -> None:
        nonlocal began
        if (tmp_path / "talking").exists() and line.startswith("xxx"):
            began = time.monotonic()
            raise TimeoutError("the task's time is over")

    bench.on_line = interrupt
    runtime = bench.runtime(grace=30)

    def follow() -> None:
        with submitted(runtime, probe("chatter", str(tmp_path))) as handle:
            for _ in runtime.observe(handle):
                pass

    with pytest.raises(TimeoutError):
        follow()
    assert time.monotonic() - began < 30
    assert_nothing_is_left(bench)


def test_a_killed_task_takes_spark_with_it(bench: Bench, tmp_path: Path) -> None:
    task = tmp_path / "task.py"
    task.write_text(f"""
import os
from pathlib import Path
from bigdata.local.java import find_java
from bigdata.spark.local.command import LocalSettings
from bigdata.spark.local.runtime import LocalRuntime
from bigdata.spark.manifest.loading import load
from bigdata.spark.runtime import run
state, jobs = Path({str(bench.settings.state_dir)!r}), Path({str(JOBS)!r})
settings = LocalSettings(find_java().home, state, jobs, environ=os.environ)
run(LocalRuntime(settings, print, grace=3), load({probe("work", str(tmp_path)).to_dict()!r}))
""")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, str(task)], env=environment, stdout=subprocess.DEVNULL)
    assert soon(lambda: len(list(tmp_path.glob("working-*"))) == 2)
    assert len(running(bench)) >= 5
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert soon(lambda: not running(bench), 60)
    assert soon(lambda: not list(bench.settings.runs_dir.iterdir()), 60)


def test_every_run_starts_clean_and_leaves_only_its_event_log(bench: Bench) -> None:
    for _ in range(2):
        bench.lines.clear()
        bench.run(probe("untidy")).check("probe")
        assert bench.said("found:") == "[]"
        assert bench.said("table: 1").startswith("['derby.log', 'left-behind.txt', 'metastore_db'")
    assert_nothing_is_left(bench)
    assert sorted(path.name for path in bench.settings.state_dir.iterdir()) == ["ivy", "spark-events", "spark-runs"]
    assert len(list(bench.settings.events_dir.iterdir())) == 2


def test_without_a_word_in_the_log_the_ui_is_found_by_its_port(bench: Bench, tmp_path: Path) -> None:
    bench.on_ui = lambda url: (tmp_path / "go").touch()
    secret = {"envSecretKeyRefs": {"SECRET_KEY": {"name": "aws-credentials", "key": "secret_key"}}}
    outcome = bench.run(probe("talk", str(tmp_path), sparkConf={"spark.log.level": "OFF"}, driver=secret))
    outcome.check("probe")
    assert bench.urls == [outcome.ui_url]
    assert events(outcome.event_log)[-1]["Event"] == "SparkListenerApplicationEnd"
    parts = urlsplit(outcome.ui_url)
    with pytest.raises(ConnectionError):
        http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5).request("GET", "/")
