import os
import socket

import pytest

from bigdata.errors import StackError
from bigdata.local import ports


@pytest.fixture
def listener():
    with socket.create_server((ports.HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_port_with_a_listener_is_not_free(listener):
    assert not ports.is_free(listener)


def test_a_listener_on_all_addresses_takes_the_port_too():
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_an_ended_listener_leaves_the_port_free():
    with socket.create_server((ports.HOST, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((ports.HOST, port)):
            server.accept()[0].close()
    assert ports.is_free(port)


def test_the_holder_is_named(listener):
    assert f"(pid {os.getpid()})" in ports.holder(listener)


def test_the_next_port_is_taken_when_the_first_is_not_free_or_promised(listener):
    port = ports.free_port(listener, taken={listener + 1})
    assert port > listener + 1
    assert ports.is_free(port)


def test_no_free_port_is_an_error(monkeypatch):
    monkeypatch.setattr(ports, "is_free", lambda port: False)
    with pytest.raises(StackError, match="19092 to"):
        ports.free_port(19092)
