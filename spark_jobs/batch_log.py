"""Batches of a stream, each delivered once, in an object store.

What lies under the base::

    log/<batch>.json                            what was delivered: files, offsets, counts; written once, never changed
    batches/<batch>-<attempt>/rows, .../rejects Parquet, a folder for each attempt at a batch
    checkpoint/...                              Spark's own, see checkpoint.py

Delivery contract. A batch is delivered by one PUT of its entry in the log, which the store takes only if there is none
yet (``If-None-Match``). The entry names the files, so a reader who takes those of the log's entries and nothing else,
with Spark or without, gets each batch whole, once, or not at all: see bigdata/storage/stream.py. A driver killed

* before the PUT, leaves a folder that no entry names. The next driver has the same offsets for the batch from the
  checkpoint, writes it into another folder, delivers it, and removes the first when the driver after it starts;
* after the PUT, has delivered, though Spark may not know: the next driver finds the entry and does nothing.

Of two drivers at a time, the first PUT counts and the other driver ends. A store that takes no notice of If-None-Match
keeps the last entry, which is still one entry of one attempt.

An entry begins at the offsets where the one before ended, and this is checked against the checkpoint before a batch is
written: a checkpoint that was lost, or is another's, is an error and no gap. The file sink of Spark is not used because
its ``_spark_metadata`` binds only readers that know of it, and others see what a killed driver left twice.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hadoop import JobError, Store

FORMAT = 1
_ENTRY = re.compile(r"/(\d{12})\.json$")
_FOLDER = re.compile(r"(\d{12})-[0-9a-f]{32}")

Offsets = dict[str, int]


class BatchLog:
    """The log of one stream, as one driver sees it.

    :raises JobError: the base is in no object store, or the log has a hole.
    """

    def __init__(self, store: Store, base: str) -> None:
        if store.scheme != "s3a":
            raise JobError(f"{base}: a stream is delivered to an object store: give a URI that starts with s3a://")
        self._store, self._base = store, base.rstrip("/")
        found = (_ENTRY.search(name) for name, _ in store.files(f"{self._base}/log"))
        numbers = sorted(int(match[1]) for match in found if match)
        #: number of the last batch delivered; -1 if there is none
        self.last = len(numbers) - 1
        if numbers and numbers[-1] != self.last:
            lost = next(number for number, found in enumerate(numbers) if number != found)
            raise JobError(f"{self._path(lost)}: is gone: put it back, or start anew with another output")
        #: where it ended, by partition
        self.end: Offsets = self.entry(self.last)["to"] if numbers else {}

    def entry(self, batch: int) -> dict[str, Any]:
        """What was delivered as a batch; empty if it was not."""
        path = self._path(batch)
        if not self._store.exists(path):
            return {}
        try:
            return dict(json.loads(self._store.head(path, 1 << 26)))
        except ValueError as error:
            raise JobError(f"{path}: is no entry ({error}): restore it from a backup") from None

    def attempt(self, batch: int) -> Attempt:
        """Begin to write a batch, the one behind the last."""
        return Attempt(self._store, self._base, self._path(batch), batch)

    def delivered(self, batch: int, end: Offsets) -> None:
        """Take note that this driver has delivered a batch."""
        self.last, self.end = batch, end

    def prune(self) -> list[str]:
        """Remove the folders of batches that another attempt has delivered; returns their names."""
        folders = defaultdict(list)
        for name in self._store.folders(f"{self._base}/batches"):
            if (match := _FOLDER.fullmatch(name)) and int(match[1]) <= self.last:
                folders[int(match[1])].append(name)
        gone = []
        for batch, names in folders.items():
            if len(names) > 1:
                kept = self.entry(batch)["attempt"]
                gone += [name for name in names if name != kept]
        for name in gone:
            self._store.delete(f"{self._base}/batches/{name}")
        return gone

    def _path(self, batch: int) -> str:
        return f"{self._base}/log/{batch:012}.json"


class Attempt:
    """A batch that is being written, in a folder of its own."""

    def __init__(self, store: Store, base: str, path: str, batch: int) -> None:
        self._store, self._base, self._path, self._batch = store, base, path, batch
        self._uncertain = False
        self.name = f"{batch:012}-{uuid.uuid4().hex}"

    def folder(self, dataset: str) -> str:
        """Return the URI to write a dataset of this batch to."""
        return f"{self._base}/batches/{self.name}/{dataset}"

    def files(self, dataset: str) -> list[str]:
        """The files of a dataset of this batch, relative to the base."""
        return sorted(name.removeprefix(f"{self._base}/") for name, _ in self._store.files(self.folder(dataset)))

    def deliver(self, facts: Mapping[str, Any]) -> None:
        """Enter the batch into the log.

        :raises JobError: another driver has delivered this batch meanwhile.
        """
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"format": FORMAT, "batch": self._batch, "attempt": self.name, "created_at": created, **facts}
        try:
            self._store.create(self._path, json.dumps(entry) + "\n")
        except Exception:
            # A PUT may succeed and its answer be lost: only the log itself can tell.
            self._uncertain = True
            found = json.loads(self._store.head(self._path, 1 << 26)) if self._store.exists(self._path) else {}
            self._uncertain = found.get("attempt") == self.name
            if self._uncertain:
                return
            if found:
                raise JobError(f"{self._path}: another driver delivers this stream, too: stop one of them") from None
            raise

    def discard(self) -> None:
        """Remove what was written, if it was not delivered; left alone while it cannot be told whether it was."""
        if not self._uncertain:
            self._store.delete(f"{self._base}/batches/{self.name}")
