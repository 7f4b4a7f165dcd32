"""Publish a dataset so that its readers never see half of it, on a file system or an object store alike.

What lies under the base::

    _current.json             the pointer: names the version that readers read, see Publication.publish
    versions/<version>/...    whatever a run wrote: one folder per dataset

Delivery contract. Object stores cannot rename a folder, so nothing is ever moved into place: a run writes a folder of
its own and publishes it by writing ``_current.json``, with one PUT, or on a file system one rename: both are atomic.
Readers start at the pointer, so they see the old result or the new one, each whole. A run that fails or is killed

* before the pointer is written, leaves the old result in place. Its own folder is removed at once, or after a kill -9
  by the first run that publishes ORPHAN_AGE later (hence no run may take longer than that);
* after the pointer is written, has delivered. Old folders it had no time to remove go the same way.

The version published before stays until the next publication, for readers who opened it a moment ago. Two runs at a
time do not harm each other: the last to publish wins. A re-run publishes a whole version, so it never adds to old rows.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hadoop import JobError, Store

POINTER = "_current.json"
VERSIONS = "versions"
FORMAT = 1
ORPHAN_AGE = timedelta(days=1)
_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r".+-(\d{8}T\d{6}Z)-[0-9a-f]{8}")


class Publication:
    """One run's new version of what is published under a base URI.

    :param label: goes into the version's name, such as a run id.
    """

    def __init__(self, store: Store, base: str, label: str) -> None:
        if store.scheme not in ("file", "s3a"):
            raise JobError(f"{base}: cannot publish on {store.scheme}: give a URI that starts with s3a:// or file:")
        self._store, self._base = store, base.rstrip("/")
        self._pointer = f"{self._base}/{POINTER}"
        self._uncertain = False
        self._keep: set[str | None] = set()
        self._before: str | None = None
        self.version = version_name(label, datetime.now(UTC))
        self._current()  # a missing bucket or a damaged pointer fails now, not after the work

    def folder(self, dataset: str) -> str:
        """Return the URI to write a dataset of this version to."""
        return f"{self._base}/{VERSIONS}/{self.version}/{dataset}"

    def publish(self, datasets: Iterable[str], facts: Mapping[str, Any]) -> dict[str, Any]:
        """Make this version the one that readers see.

        Returned is the pointer as written: format (1), version, previous (the version before it, or null), created_at
        (UTC, ISO 8601), for each dataset its folder relative to the base, and `facts`.
        """
        old = self._current()
        pointer = {
            "format": FORMAT,
            "version": self.version,
            "previous": old.get("version"),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **{name: f"{VERSIONS}/{self.version}/{name}" for name in datasets},
            **facts,
        }
        try:
            self._store.replace(self._pointer, json.dumps(pointer, indent=2) + "\n", self.folder(POINTER))
        except Exception:
            # A PUT may succeed and its answer be lost: only the pointer itself can tell.
            self._uncertain = True
            if self._current().get("version") != self.version:
                self._uncertain = False
                raise
        self._keep, self._before = {self.version, old.get("version")}, old.get("previous")
        return pointer

    def prune(self) -> list[str]:
        """Remove the versions that no reader can be in, once this one is published; returns their names."""
        versions = f"{self._base}/{VERSIONS}"
        gone = superseded(self._store.folders(versions), self._keep, self._before, datetime.now(UTC))
        for name in gone:
            self._store.delete(f"{versions}/{name}")
        return gone

    def discard(self) -> None:
        """Remove what this run wrote, if it did not publish; left alone while it cannot be told whether it did."""
        if not self._uncertain:
            self._store.delete(f"{self._base}/{VERSIONS}/{self.version}")

    def _current(self) -> dict[str, Any]:
        if not self._store.exists(self._pointer):
            return {}
        try:
            return dict(json.loads(self._store.head(self._pointer, 1 << 20)))
        except ValueError as error:
            raise JobError(f"{self._pointer}: is no pointer ({error}): move it away, then run again") from None


def version_name(label: str, now: datetime) -> str:
    """Return a name that no other run has: `label` made safe for a path, the time, and a random part."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-._")[:100] or "run"
    return f"{safe}-{now.strftime(_STAMP)}-{uuid.uuid4().hex[:8]}"


def superseded(names: Iterable[str], keep: set[str | None], before_last: str | None, now: datetime) -> list[str]:
    """Return the versions to remove: the one before those in `keep`, and all that are older than ORPHAN_AGE.

    Younger ones may belong to a run that is still writing. Names of another form are not ours.
    """
    return [
        name
        for name in names
        if name not in keep
        and (match := _NAME.fullmatch(name))
        and (name == before_last or now - datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC) > ORPHAN_AGE)
    ]
