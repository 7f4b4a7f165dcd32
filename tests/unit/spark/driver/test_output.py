"""Bytes of a driver become lines, and tell what happens."""

from __future__ import annotations

from bigdata.spark.driver.output import Lines, Telltale


def lines_of(*pieces: bytes, redacted: tuple[str, ...] = ()) -> list[str]:
    lines = Lines(redacted)
    return [line for piece in pieces for line in lines.feed(piece)] + list(lines.finish())


def test_lines_come_out_whole_wherever_the_bytes_were_cut() -> None:
    data = "erste\nzweite → ü\r\n\ndritte".encode()
    expected = ["erste", "zweite → ü", "", "dritte"]
    assert lines_of(data) == expected
    for cut in range(len(data)):
        assert lines_of(data[:cut], data[cut:]) == expected
    assert lines_of(*(bytes([byte]) for byte in data)) == expected


def test_what_is_no_utf8_is_replaced() -> None:
    assert lines_of(b"caf\xe9\n", b"\xc3") == ["caf\ufffd", "\ufffd"]


def test_a_progress_bar_is_one_line_for_each_state() -> None:
    assert lines_of(b"\r[1/2]\r[2/2]\r\ndone\n") == ["", "[1/2]", "[2/2]", "done"]


def test_a_line_without_end_comes_in_pieces() -> None:
    found = lines_of(b"x" * 200_000)
    assert "".join(found) == "x" * 200_000
    assert max(map(len, found)) <= 65536


def test_secrets_are_replaced_even_if_cut_by_a_read() -> None:
    assert lines_of(b"key=hunter2-hun", b"ter2\n", redacted=("hunter2-hunter2",)) == ["key=***"]


def test_a_log_tells_where_everything_is() -> None:
    seen = Telltale()
    for line in (
        "26/11/21 07:41:44 INFO SparkContext: Running Spark version 4.2.0",
        "26/11/21 07:41:46 INFO Utils: Successfully started service 'SparkUI' on port 45678.",
        "26/11/21 07:41:47 INFO RollingEventLogFilesWriter: Logging events to "
        "file:/s/spark-events/eventlog_v2_local-17952/events_1_local-17952.zstd",
    ):
        seen.see(line)
    assert seen.is_running
    assert (seen.ui_port, seen.application_id) == (45678, "local-17952")
    assert seen.event_log == "file:/s/spark-events/eventlog_v2_local-17952"
    assert len(seen.tail) == 3


def test_an_event_log_in_one_file() -> None:
    seen = Telltale()
    seen.see("26/11/21 07:41:47 INFO SingleEventLogFileWriter: Logging events to s3a://b/local-17952.zstd.inprogress")
    assert (seen.event_log, seen.application_id) == ("s3a://b/local-17952.zstd", "local-17952")


def test_why_executors_were_lost_on_the_same_line_or_the_next() -> None:
    telltale = Telltale()
    for line in [
        "26/11/21 18:49:51 ERROR TaskSchedulerImpl: Lost executor 1 on 10.88.4.52: ",
        "The executor with id 1 exited with exit code 137(SIGKILL, possible container OOM).",
        "26/11/21 18:50:03 ERROR TaskSchedulerImpl: Lost executor 2 on 10.88.4.53: Executor heartbeat timed out",
        "API gave the following container statuses:",
    ]:
        telltale.see(line)
    assert telltale.lost == {
        "1": "The executor with id 1 exited with exit code 137(SIGKILL, possible container OOM).",
        "2": "Executor heartbeat timed out",
    }
