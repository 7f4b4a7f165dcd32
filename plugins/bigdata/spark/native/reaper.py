"""A small process that deletes a driver's pod when the task that wants it is dead, even by SIGKILL.

It is started as a script, in a session of its own, before spark-submit is, and reads lines of JSON from its standard
input: the pod's URL and the credentials, renewed now and then. ``{"done": true}`` ends it. If standard input closes
without that, it deletes the pod, and with it all that the pod owns: executors, service, config map. As the submission
may still be on its way then, it tries for a while.

It knows nothing but the standard library, so that it costs 12 MB while it waits. A node that dies takes it along; the
task's next try deletes what is left then.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

# A spark-submit that was under way ends within its guard's grace.
_TRIES_SECONDS = 30.0
_PAUSE = 2.0


class Reaper:
    """The task's end of it."""

    def __init__(self) -> None:
        # -P, as this script's folder is no place to import from.
        command = [sys.executable, "-P", str(Path(__file__).resolve())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def watch(self, url: str, **credentials: Any) -> None:
        """Tell it the pod, and how to reach it: the fields of :class:`bigdata.spark.native.credentials.Credentials`."""
        self._say({"url": url, **credentials})

    def dismiss(self) -> None:
        """End it; the pod is left as it is."""
        self._say({"done": True})
        self._close()
        self._process.wait()

    def let_go(self) -> None:
        """Leave the deletion to it, and do not wait."""
        self._close()

    def _close(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def _say(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
            self._process.stdin.flush()


def main() -> None:
    """Wait, and delete the pod unless told otherwise."""
    order: dict[str, Any] = {}
    context = None
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if order.get("done"):
            return
        # Now, as the files of a client certificate may be gone together with the task.
        context = _context(order)
    deadline = time.monotonic() + _TRIES_SECONDS
    while order and time.monotonic() < deadline:
        with suppress(OSError):
            # Until the pod's uid is known it may be still to come.
            if delete(order, context) and order.get("uid"):
                return
        time.sleep(_PAUSE)


def delete(order: dict[str, Any], context: ssl.SSLContext | None) -> bool:
    """Send the request; True if that very pod is gone or going.

    :raises OSError: the API server could not be asked, or refused.
    """
    options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if order.get("uid"):
        options["preconditions"] = {"uid": order["uid"]}
    request = urllib.request.Request(order["url"], json.dumps(options).encode(), method="DELETE")
    request.add_header("Content-Type", "application/json")
    if order.get("authorization"):
        request.add_header("Authorization", order["authorization"])
    try:
        with urllib.request.urlopen(request, timeout=10, context=context):
            return True
    except urllib.error.HTTPError as error:
        # Gone, or another pod has the name by now.
        if error.code in (404, 409):
            return True
        raise


def _context(order: dict[str, Any]) -> ssl.SSLContext | None:
    if not order["url"].startswith("https:"):
        return None
    context = ssl.create_default_context(cafile=order.get("ca_file") or None)
    if not order.get("verify", True):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if order.get("certificate_file"):
        context.load_cert_chain(order["certificate_file"], order.get("key_file") or None)
    return context


if __name__ == "__main__":
    main()
