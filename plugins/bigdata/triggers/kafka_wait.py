"""Waits at the brokers, in the triggerer: one look in a thread now and then.

Waiting contract: a look changes nothing at the brokers, so a triggerer that dies costs nothing but time. The search for
a message then looks again at everything from where the wait began, which is in its arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from bigdata.errors import BigdataError, StackError

_LOOK_SECONDS = 2.0


class KafkaWaitTrigger(BaseTrigger):
    """Ends with an event when what is waited for is so: ``{"found": …}``, or ``{"error": message}``.

    :param what: a name in :data:`LOOKS`.
    :param arguments: of that look.
    :param poll_interval: seconds between two looks.
    """

    def __init__(self, what: str, kafka_conn_id: str, arguments: Mapping[str, Any], poll_interval: float = 5.0) -> None:
        super().__init__()
        self.what, self.kafka_conn_id = what, kafka_conn_id
        self.arguments, self.poll_interval = dict(arguments), poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See :class:`BaseTrigger`."""
        arguments = {
            "what": self.what,
            "kafka_conn_id": self.kafka_conn_id,
            "arguments": self.arguments,
            "poll_interval": self.poll_interval,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until it is so."""
        from asgiref.sync import sync_to_async

        told = ""
        while True:
            try:
                missing, found = await sync_to_async(look, thread_sensitive=False)(
                    self.what, await self._config(), self.arguments
                )
            except StackError as error:  # brokers come and go; the task's timeout ends the wait
                missing, found = str(error), None
            except BigdataError as error:
                yield TriggerEvent({"error": str(error)})
                return
            if not missing:
                yield TriggerEvent({"found": found})
                return
            if missing != told:
                self.log.info("Waiting: %s", missing)
                told = missing
            await asyncio.sleep(self.poll_interval)

    async def _config(self) -> Any:
        from asgiref.sync import sync_to_async

        from bigdata import connections

        return await sync_to_async(connections.kafka)(self.kafka_conn_id)


def look(what: str, config: Any, arguments: dict[str, Any]) -> tuple[str, Any]:
    """Look once: what is missing, and what was found.

    The arguments of a search are changed, so that the next look goes on where this one ended.
    """
    from bigdata.kafka import waits
    from bigdata.kafka.events import described

    if what == "topic":
        return waits.topic_missing(config, **arguments) or "", None
    if what == "lag":
        return waits.lag_left(config, **arguments) or "", None
    if what == "cluster":
        return waits.cluster_unready(config, **arguments) or "", None
    search = waits.Search(**{**arguments, "offsets": _by_number(arguments.get("offsets", {}))})
    record = search.look(config, _LOOK_SECONDS)
    arguments["offsets"] = {str(partition): offset for partition, offset in search.offsets.items()}
    return ("", described(record)) if record else (f"no such message in {search.topic} yet", None)


def _by_number(offsets: Mapping[str, int]) -> dict[int, int]:
    """JSON's keys are texts."""
    return {int(partition): offset for partition, offset in offsets.items()}
