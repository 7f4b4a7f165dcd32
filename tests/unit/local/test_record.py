import os

import psutil
import pytest

from bigdata.local import record
from bigdata.local.record import Record


def test_a_record_comes_back_as_it_was_saved(tmp_path):
    saved = Record(port=19092, inner_port=19093, version="4.3.1", pid=5, created=1.5, since=2.5)
    record.save(tmp_path / "kafka.json", saved)
    assert record.load(tmp_path / "kafka.json") == saved


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"port": "many"}', '{"port": {}}'])
def test_a_damaged_record_counts_as_empty(tmp_path, text):
    (tmp_path / "kafka.json").write_text(text)
    assert record.load(tmp_path / "kafka.json") == Record()


def test_a_record_of_a_later_version_is_read_for_what_is_known(tmp_path):
    (tmp_path / "kafka.json").write_text('{"port": 19092, "colour": "blue"}')
    assert record.load(tmp_path / "kafka.json") == Record(port=19092)


def test_ports_outlast_a_stop_and_the_process_does_not():
    stopped = Record(port=19092, inner_port=19093, version="4.3.1", pid=5, created=1.5, since=2.5).stopped()
    assert stopped == Record(port=19092, inner_port=19093, version="4.3.1")
    assert not stopped.started


def test_the_process_of_a_record_is_the_very_one_that_was_started():
    me = psutil.Process(os.getpid())
    assert Record(pid=me.pid, created=me.create_time()).process() == me
    assert Record(pid=me.pid, created=me.create_time() - 60).process() is None
    assert Record().process() is None
