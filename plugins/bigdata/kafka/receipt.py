"""What a delivery was, in the words that an XCom can carry."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Receipt:
    """What a :func:`bigdata.kafka.produce.produce` delivered.

    :param offsets: partition → first and last offset that this delivery's records took.
    :param repeated: an earlier try had delivered all of it, and this one sent nothing.
    """

    topic: str
    delivery: str
    sent: int = 0
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    repeated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, for an XCom."""
        return asdict(self) | {"offsets": {str(part): list(span) for part, span in sorted(self.offsets.items())}}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Receipt:
        """Inverse of :meth:`to_dict`."""
        offsets = {int(part): (span[0], span[1]) for part, span in data["offsets"].items()}
        return cls(data["topic"], data["delivery"], data["sent"], offsets, data.get("repeated", False))
