"""How many records a poll may bring, by how long it took to handle those before.

The group waits only so long for a member, and the brokers only so long for a transaction. A poll that brings thousands
of records to a function that needs a second for each would outlast both, and so would each retry of it.
"""

from __future__ import annotations

_FIRST = 10
_FASTER = 10
#: seconds that the records of one poll should take
_SECONDS = 2.0


class Pace:
    """Begins with a few records, and takes more the faster they are handled.

    :param most: records that a poll may bring at most.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._size = _FIRST

    @property
    def size(self) -> int:
        """Records that the next poll may bring."""
        return min(self._size, self.most)

    def took(self, records: int, seconds: float) -> None:
        """Take note of how long so many records took."""
        fit = int(records * _SECONDS / max(seconds, 1e-6))
        self._size = max(1, min(fit, _FASTER * self._size))


def too_slow(records: int, seconds: float, limit: float, who: str) -> str:
    """That so many records took longer than somebody waits.

    :param limit: seconds.
    """
    return f"{records} records were handled in {seconds:.0f} s, longer than the {limit:.0f} s that {who}"
