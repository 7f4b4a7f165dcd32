"""The client's log lines in a task's log: its warnings and errors, not each connection that it opens."""

from __future__ import annotations

import logging

_CLOSING = "Metadata refresh: failed"


def quiet() -> None:
    """Let kafka-python tell of trouble only, unless somebody has set its level."""
    client, cluster = logging.getLogger("kafka"), logging.getLogger("kafka.cluster")
    if client.level == logging.NOTSET:
        client.setLevel(logging.WARNING)
    # It warns whenever packing a batch takes more than 0.1 s, as any under load does.
    loop = logging.getLogger("kafka.net.selector")
    if loop.level == logging.NOTSET:
        loop.setLevel(logging.ERROR)
    if _is_trouble not in cluster.filters:
        cluster.addFilter(_is_trouble)


def _is_trouble(line: logging.LogRecord) -> bool:
    """An error is logged whenever a client is closed while it looks for brokers; no error at all."""
    text = line.getMessage()
    return not (text.startswith(_CLOSING) and "Cancelled" in text)
