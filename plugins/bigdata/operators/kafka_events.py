"""The messages that started a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


def messages(triggering_asset_events: Mapping[Any, Any] | None) -> list[dict[str, Any]]:
    """What the watchers' events hold, each message once, however often it came.

    :param triggering_asset_events: of the task's context.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for events in (triggering_asset_events or {}).values():
        for event in events:
            message = (event.extra or {}).get("payload")
            if isinstance(message, dict) and "offset" in message:
                found.setdefault((message["topic"], message["partition"], message["offset"]), message)
    return list(found.values())


def show(triggering_asset_events: Mapping[Any, Any] | None) -> list[dict[str, Any]]:
    """Say what came."""
    came = messages(triggering_asset_events)
    if not came:
        log.info("No message started this run: it was started by hand")
    for message in came:
        where = f"{message['topic']}[{message['partition']}]@{message['offset']}"
        log.info("%s: key %s, %s %s", where, message["key"], message["encoding"], message["value"])
    return came
