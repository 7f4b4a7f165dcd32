"""Why no broker let a client in: kafka-python keeps trying until its time is up, and tells only its log why."""

from __future__ import annotations

import logging
from typing import Any

_LOGGER = "kafka.net.manager"
_FAILED = "Bootstrap connection to"


class Refusals(logging.Handler):
    """Context manager that hears the reasons meanwhile; those of other clients of this process, too.

    :ivar reason: the one that tells most, as a broker that refuses a user often just hangs up; else the last.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`."""
        arguments: Any = record.args
        if str(record.msg).startswith(_FAILED) and isinstance(arguments, tuple):
            found = next((item for item in arguments if isinstance(item, BaseException)), None)
            if found and (_tells(found) or not (self.reason and _tells(self.reason))):
                self.reason = found

    def __enter__(self) -> Refusals:
        logging.getLogger(_LOGGER).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(_LOGGER).removeHandler(self)


def _tells(reason: BaseException) -> bool:
    return any(word in f"{type(reason).__name__} {reason}" for word in ("Sasl", "Authorization", "Handshake"))
