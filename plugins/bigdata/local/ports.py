"""Ports on loopback: whether one is free, who has it, and a free one."""

from __future__ import annotations

import socket
from collections.abc import Collection
from contextlib import suppress

import psutil

from bigdata.errors import StackError

HOST = "127.0.0.1"
_SPAN = 200


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.settimeout(1)
        # macOS lets one bind to 127.0.0.1 beside a server on all addresses, so binding alone proves nothing.
        if probe.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as server:
        # As servers do: connections of an ended server that linger in TIME_WAIT are no hindrance.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens on the port, such as ``java (pid 12)``; ``another process`` when the system does not tell."""
    with suppress(psutil.Error):
        for pid in [connection.pid for connection in psutil.net_connections("tcp") if _listens(connection, port)]:
            if pid:
                return _describe(psutil.Process(pid))
    # macOS tells of all processes only to root, but of one's own when asked one by one.
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(_listens(connection, port) for connection in process.net_connections("tcp")):
                return _describe(process)
    return "another process"


def free_port(first: int, taken: Collection[int] = ()) -> int:
    """The first free port from ``first`` on, below the range from which systems take outgoing ports.

    :param taken: ports that are promised to others.
    :raises StackError: when all are taken.
    """
    for port in range(first, first + _SPAN):
        if port not in taken and is_free(port):
            return port
    raise StackError(
        "ports", f"none of the ports {first} to {first + _SPAN - 1} is free", "Free one, or configure another port"
    )


def _listens(connection: object, port: int) -> bool:
    address = getattr(connection, "laddr", None)
    return (
        bool(address)
        and getattr(connection, "status", "") == psutil.CONN_LISTEN
        and getattr(address, "port", 0) == port
    )


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.name()} (pid {process.pid})"
    except psutil.Error:
        return f"process {process.pid}"
