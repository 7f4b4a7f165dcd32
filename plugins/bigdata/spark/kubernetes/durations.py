"""How long an application was in each state of the operator's, as seen by somebody who waits.

Whoever begins late, as a restarted triggerer does, takes what was before from the operator's own times: NEW until the
last submission, and from then on the state that is found.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bigdata.spark.kubernetes import states
from bigdata.spark.runtime import Phase

NEW = "NEW"


class Durations:
    """Adds up seconds by state; ``raw`` is the one that was seen last, None before the first.

    :param seconds: what somebody has seen before.
    """

    def __init__(self, seconds: Mapping[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = dict(seconds or {})
        self.raw: str | None = None
        self._since = 0.0

    def see(self, application: Mapping[str, Any]) -> bool:
        """Take in the application as it is now; returns whether its state is another than before."""
        raw = states.raw_state(application)
        if raw == self.raw:
            return False
        now = time.time()
        if self.raw is not None:
            self._add(self.raw, now - self._since)
            self._since = now
        else:
            self._since = now if self.seconds else self._begin(application, raw)
        self.raw = raw
        return True

    def _begin(self, application: Mapping[str, Any], raw: str) -> float:
        status = application.get("status") or {}
        created = datetime.fromisoformat(application["metadata"]["creationTimestamp"]).timestamp()
        submitted = _time(status.get("lastSubmissionAttemptTime"))
        if not raw or submitted is None:
            return created
        self._add(NEW, submitted - created)
        ended = _time(status.get("terminationTime"))
        if states.phase(raw).is_terminal and ended is not None:
            self._add(str(Phase.RUNNING), ended - submitted)
        return submitted

    def _add(self, raw: str, seconds: float) -> None:
        # The cluster's clock need not be this one.
        self.seconds[raw or NEW] = self.seconds.get(raw or NEW, 0.0) + max(0.0, seconds)


def _time(text: Any) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
