"""A trigger that asks nobody for anything; what many of them take is Airflow's own share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class Sleeper(BaseTrigger):
    def __init__(self, until: float) -> None:
        super().__init__()
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "waits.sleeper.Sleeper", {"until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(self.until - time.time())
        yield TriggerEvent("slept")
