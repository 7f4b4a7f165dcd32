"""What Spark's checkpoint says of a stream that has Kafka as its one source.

The checkpoint in an object store. Spark writes each of its small files aside and renames it, which S3A does by a copy,
whole or not at all, and a delete: a kill leaves the file, or none, and maybe the one aside, which nobody reads. What a
rename there does not do is keep two drivers from writing the same file; batch_log.py stands against that.

Files read here: ``offsets/<batch>``, written before a batch is begun, so that it has the same offsets each time it is
tried, and ``sources/0/0``, the offsets that the first batch began at.
"""

from __future__ import annotations

import json

from hadoop import JobError, Store


class Checkpoint:
    """The checkpoint in a folder."""

    def __init__(self, store: Store, uri: str, topic: str) -> None:
        self._store, self.uri, self._topic = store, uri, topic

    def end(self, batch: int) -> dict[str, int]:
        """Partition → offset behind the last record of a batch; of batch -1, where the first one began."""
        path = f"{self.uri}/offsets/{batch}" if batch >= 0 else f"{self.uri}/sources/0/0"
        text = self._store.head(path, 1 << 26).decode()
        try:
            version, _, rest = text.partition("\n")
            # The log of offsets has a line about the batch before the source's own.
            found = json.loads(rest.splitlines()[-1])
            if version.strip("\0") != "v1":
                raise ValueError(f"version {version}")
            return dict(sorted(found[self._topic].items(), key=lambda item: int(item[0])))
        except (ValueError, KeyError, IndexError) as error:
            raise JobError(
                f"{path}: is no checkpoint of topic {self._topic} ({error}): start with another output"
            ) from None
