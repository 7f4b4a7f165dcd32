"""Follow one object through a watch of its own, in the caller's thread.

Contract: the object is read, then watched from that very version on, so that no state that lasts is missed between the
two; whatever breaks the watch (an expired version, a server that restarts) leads to a new read. States that came and
went while nobody watched may be missed. A deleted object, or a successor under its name, is told as None, which is the
end. A server that is away is waited for, as what it manages runs on; a refusal that lasts for two minutes is raised.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.resources import Object, Resources

log = logging.getLogger(__name__)

_WATCH_SECONDS = 60
_LONGEST_PAUSE = 10.0
# Refused, or a kind that is not known any more; a server that restarts may say so for a moment.
_REFUSED = (401, 403, 404)
_PATIENCE = 120.0


def follow(resources: Resources, name: str, uid: str, stopped: threading.Event) -> Iterator[Object | None]:
    """Yield the object as it is, and again at each change; None when it is gone.

    :param uid: of the object that is meant.
    :param stopped: ends the iteration at the next event, or within a minute where the server sends nothing.
    :raises ClusterError: the server refuses to show it.
    """
    pause, refused_since = 0.2, 0.0
    while not stopped.is_set():
        try:
            for count, found in enumerate(_watch_once(resources, name, uid, stopped)):
                if count:  # the first is only read, and a watch may be refused all the same
                    pause, refused_since = 0.2, 0.0
                yield found
                if found is None:
                    return
            pause, refused_since = 0.2, 0.0
        except ClusterError as error:
            if error.status in _REFUSED:
                refused_since = refused_since or time.monotonic()
                if time.monotonic() - refused_since >= _PATIENCE:
                    raise
            log.warning("%s; trying again", error)
            stopped.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


def follow_for(resources: Resources, name: str, uid: str, seconds: float) -> Iterator[Object | None]:
    """As :func:`follow`, for so many seconds, however silent the server is.

    :raises ClusterError: the server refuses to show it.
    """
    found: queue.Queue[Object | Exception | None] = queue.Queue()
    stopped, deadline = threading.Event(), time.monotonic() + seconds

    def run() -> None:
        try:
            for event in follow(resources, name, uid, stopped):
                found.put(event)
        except Exception as error:  # the reader raises it
            found.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        while (left := deadline - time.monotonic()) > 0:
            try:
                event = found.get(timeout=left)
            except queue.Empty:
                return
            if isinstance(event, Exception):
                raise event
            yield event
            if event is None:
                return
    finally:
        stopped.set()


def _watch_once(resources: Resources, name: str, uid: str, stopped: threading.Event) -> Iterator[Object | None]:
    found = resources.read(name)
    yield _same(found, uid)
    if found is None:
        return
    for event in resources.watch(name, found["metadata"]["resourceVersion"], _WATCH_SECONDS):
        if stopped.is_set():
            return
        yield None if event["type"] == "DELETED" else _same(event["object"], uid)


def _same(found: Any, uid: str) -> Object | None:
    return found if found is not None and found["metadata"]["uid"] == uid else None
