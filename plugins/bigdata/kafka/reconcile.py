"""Compare what was read back from a topic with what a delivery says it wrote."""

from __future__ import annotations

from collections import Counter

from bigdata.errors import DeliveryError
from bigdata.kafka.receipt import Receipt
from bigdata.kafka.records import DELIVERY_HEADER, Record


class Reconciliation:
    """A handler for :func:`bigdata.kafka.consume.consume` that counts one delivery's records by key.

    Records of other deliveries (an earlier run, a failed try) are counted apart and do not disturb.

    :param header: that names the delivery.
    """

    def __init__(self, receipt: Receipt, header: str = DELIVERY_HEADER) -> None:
        self.receipt, self._header = receipt, header
        self.keys: Counter[bytes | None] = Counter()
        self.others = 0

    def __call__(self, record: Record) -> bool:
        """Count one record, and say whether it is of the delivery."""
        is_ours = dict(record.headers).get(self._header) == self.receipt.delivery.encode()
        if is_ours:
            self.keys[record.key] += 1
        else:
            self.others += 1
        return is_ours

    def check(self) -> int:
        """Tell how many records came back.

        :raises DeliveryError: a record was lost, or a key came back more than once.
        """
        found = sum(self.keys.values())
        doubled = [key for key, count in self.keys.items() if count > 1]
        if doubled:
            named = ", ".join(repr((key or b"").decode(errors="replace")) for key in doubled[:3])
            raise DeliveryError(self.receipt.topic, self.receipt.sent, found, f"{len(doubled)} keys doubled: {named}")
        if found != self.receipt.sent:
            raise DeliveryError(self.receipt.topic, self.receipt.sent, found, "records are missing or were added")
        return found
