"""What runs, found without asking the stack."""

from __future__ import annotations

import os
from typing import Any

import psutil

from bigdata.local import process
from bigdata.local.launch import mark
from bigdata.local.stack import SERVICES
from bigdata.settings import Settings


def running(own: Settings) -> list[psutil.Process]:
    """All processes of a stack, found by their command lines and not by what the stack wrote down."""
    return process.marked({mark(own.state_dir, name) for name in [*SERVICES, "jars"]})


def sessions(pids: list[int]) -> list[psutil.Process]:
    """All processes in the sessions that these led."""
    found = []
    for item in psutil.process_iter():
        try:
            if os.getsid(item.pid) in pids and item.status() != psutil.STATUS_ZOMBIE:
                found.append(item)
        except (psutil.Error, OSError):
            continue
    return found


def alive(item: psutil.Process) -> bool:
    try:
        return item.is_running() and item.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def connections(item: psutil.Process) -> list[Any]:
    """Its TCP connections; none if it has ended meanwhile, as short-lived children of Airflow do."""
    try:
        return list(item.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return []
