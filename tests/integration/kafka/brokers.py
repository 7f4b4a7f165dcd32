"""Three brokers of one's own, to be killed, paused and started again."""

from __future__ import annotations

import os
import resource
import signal
from dataclasses import dataclass

from bigdata.kafka.config import KafkaConfig
from bigdata.local.record import State
from bigdata.local.stack import Stack

BROKERS = ("kafka-1", "kafka-2", "kafka-3")


def fill(pid: int, size: int) -> None:
    """Let a process write no file beyond a size, in bytes: a broker's writes fail then as they do on a full disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))


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

    def fill(self, number: int, size: int) -> None:
        """See :func:`fill`."""
        fill(self._pid(number), size)

    def is_alive(self, number: int) -> bool:
        """Whether the broker's process is there."""
        return any(status.name == f"kafka-{number}" and status.state == State.UP for status in self.stack.status())

    def restart(self) -> None:
        """Start whatever is dead."""
        self.stack.up(["kafka"])

    def _signal(self, number: int, sent: signal.Signals) -> None:
        os.kill(self._pid(number), sent)

    def _pid(self, number: int) -> int:
        (pid,) = [status.pid for status in self.stack.status() if status.name == f"kafka-{number}"]
        return pid
