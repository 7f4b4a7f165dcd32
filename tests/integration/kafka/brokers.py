"""Three brokers of one's own, to be killed, paused and started again."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from bigdata.kafka.config import KafkaConfig
from bigdata.local.stack import Stack

BROKERS = ("kafka-1", "kafka-2", "kafka-3")


@dataclass
class Brokers:
    """Three brokers.

    :param stack: that runs them.
    """

    stack: Stack

    @property
    def config(self) -> KafkaConfig:
        """All three as bootstrap servers."""
        found = {status.name: status.url for status in self.stack.status()}
        return KafkaConfig(",".join(found[name] for name in BROKERS))

    def kill(self, number: int) -> None:
        """End a broker as a machine that goes away does."""
        self._signal(number, signal.SIGKILL)

    def pause(self, number: int) -> None:
        """Stop a broker from answering, with its connections open, as a network that drops packets does."""
        self._signal(number, signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """Let it go on."""
        self._signal(number, signal.SIGCONT)

    def restart(self) -> None:
        """Start whatever is dead."""
        self.stack.up(["kafka"])

    def _signal(self, number: int, sent: signal.Signals) -> None:
        (pid,) = [status.pid for status in self.stack.status() if status.name == f"kafka-{number}"]
        os.kill(pid, sent)
