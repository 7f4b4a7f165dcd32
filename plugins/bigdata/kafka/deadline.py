"""A limit in time for calls of the client that have none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def within(seconds: float, call: Callable[[], Any], what: str) -> None:
    """Run ``call`` and wait for it; one that does not return is left behind in a thread that ends with the process.

    :param what: for the message, such as "the commit".
    :raises kafka.errors.KafkaTimeoutError: it did not return in time. It may still succeed.
    """
    from kafka.errors import KafkaTimeoutError

    failure: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # handed to the caller
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True, name=f"kafka: {what}")
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise KafkaTimeoutError(f"{what} was not answered in {seconds:g} s")
    if failure:
        raise failure[0]
