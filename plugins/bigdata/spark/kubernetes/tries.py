"""What the tries of one task have on the cluster, and whose it is.

Contract. An application belongs to one try, the one that its label names. A try that begins and finds an application
of an earlier one, unended and made from the same spec, takes it over: a try that ends in order deletes its application,
so a try that left one running has died. The label is changed first, and whoever waited before, if it lives after all,
deletes nothing from then on. Everything else that earlier tries left running is deleted, and so is what the triggerer
waits for, or has waited for: a triggerer that dies goes on with the same try, so that a new try means that somebody has
cleared the task. A success is taken only while nobody has seen it, and only a seen one makes room for newer ones.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.resources import Object, Resources
from bigdata.spark.kubernetes import states
from bigdata.spark.manifest.application import Application
from bigdata.spark.naming import NAME_VARIABLE, PREFIX, TRY, all_runs, same_task
from bigdata.spark.runtime import Phase

DIGEST = f"{PREFIX}spec"
_SEEN = f"{PREFIX}seen"
# Marks an application whose end somebody has taken notice of.
SEEN = {"metadata": {"annotations": {_SEEN: "true"}}}
_SUBMISSION_SECONDS = 60.0
_DEFERRED = f"{PREFIX}deferred"
# Marks an application that the triggerer waits for.
DEFERRED = {"metadata": {"annotations": {_DEFERRED: "true"}}}
NOT_DEFERRED = {"metadata": {"annotations": {_DEFERRED: None}}}


class Tries:
    """The applications of one namespace.

    :param reattach: take over what an earlier try has left; otherwise it is deleted.
    :param keep_ended: applications that have ended are kept on purpose.
    :param log: gets a line for each application taken over or deleted.
    """

    def __init__(self, resources: Resources, *, reattach: bool, keep_ended: bool, log: Callable[[str], None]) -> None:
        self._resources, self._reattach, self._keep_ended, self._log = resources, reattach, keep_ended, log

    def settle(self, application: Application) -> Object | None:
        """Take over the application to go on with, if there is one, and delete what else earlier tries left running.

        :raises ClusterError: the API server refuses, or does not answer.
        """
        selector = same_task(application.labels)
        found = self._resources.select(selector) if selector else []
        taken: Object | None = None
        for item in sorted(found, key=lambda item: str(item["metadata"]["creationTimestamp"]), reverse=True):
            if taken is None and self._fits(application, item):
                taken = self._take(application, item)
            elif not self._keep_ended or not _has_ended(item) or item["metadata"]["name"] == application.name:
                name = item["metadata"]["name"]
                self._log(f"Deleting SparkApplication {self._resources.namespace}/{name}, which an earlier try left")
                self._resources.delete(name, item["metadata"]["uid"])
        return taken

    def of_try(self, application: Application) -> list[Object]:
        """The applications that belong to the application's try; one at most, unless labels are missing.

        :raises ClusterError: the API server refuses, or does not answer.
        """
        if selector := same_task(application.labels):
            return self._resources.select(f"{selector},{TRY}={application.labels.get(TRY, '')}")
        found = self._resources.read(application.name)
        return [found] if found else []

    def prune(self, labels: Mapping[str, str], limit: int) -> None:
        """Delete applications of the task that succeeded, in any run, but for the newest.

        :param limit: how many to keep.
        :raises ClusterError: the API server refuses, or does not answer.
        """
        selector = all_runs(labels)
        found = self._resources.select(selector) if selector else []
        ended = [item for item in found if states.phase(states.raw_state(item)) == Phase.SUCCEEDED and _is_seen(item)]
        ended.sort(key=lambda item: str(item["metadata"]["creationTimestamp"]), reverse=True)
        for item in ended[limit:]:
            self._resources.delete(item["metadata"]["name"], item["metadata"]["uid"], wait=0)

    def _fits(self, application: Application, found: Object) -> bool:
        metadata = found["metadata"]
        if not self._reattach or "deletionTimestamp" in metadata:
            return False
        if (metadata.get("annotations") or {}).get(DIGEST) != digest(application) or _is_seen(found):
            return False
        if own(found, application.labels.get(TRY, "")):
            return True
        if is_deferred(found):
            return False
        if not _has_ended(found):
            return True
        # Ended in order, it would have been deleted: nobody has seen this success yet.
        return states.phase(states.raw_state(found)) == Phase.SUCCEEDED and not self._keep_ended

    def _take(self, application: Application, found: Object) -> Object | None:
        name, raw = found["metadata"]["name"], states.raw_state(found) or "NEW"
        number = (found["metadata"].get("labels") or {}).get(TRY, "")
        self._log(f"Found SparkApplication {self._resources.namespace}/{name} of try {number}, {raw}: going on with it")
        if number == application.labels.get(TRY):
            return found
        try:
            self._await_submission(name)
            return self._resources.patch(name, {"metadata": {"labels": {TRY: application.labels.get(TRY)}}})
        except ClusterError as error:
            if error.status != 404:
                raise
            return None  # whoever waited for it was just deleting it

    def _await_submission(self, name: str) -> None:
        deadline = time.monotonic() + _SUBMISSION_SECONDS
        while (found := self._resources.read(name)) and not states.may_be_changed(found):
            if time.monotonic() > deadline:
                return  # nobody submits it
            time.sleep(1.0)


def digest(application: Application) -> str:
    """A digest of the spec, the same for all tries, whose names differ."""
    spec = application.spec
    spec["sparkConf"] = {
        # The parent's run id, which is each try's own.
        key: value
        for key, value in (spec.get("sparkConf") or {}).items()
        if not key.startswith("spark.openlineage.")
    }
    named = {"name": NAME_VARIABLE, "value": application.name}
    for role in ("driver", "executor"):
        if variables := (spec.get(role) or {}).get("env"):
            spec[role]["env"] = [item for item in variables if item != named]
            if not spec[role]["env"]:
                del spec[role]["env"]
        if labels := (spec.get(role) or {}).get("labels"):
            spec[role]["labels"] = {key: value for key, value in labels.items() if not key.startswith(PREFIX)}
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]


def own(found: Mapping[str, Any], try_number: str) -> bool:
    """Whether an application still belongs to a try.

    :param try_number: as its label has it; empty if it is not known.
    """
    return not try_number or (found["metadata"].get("labels") or {}).get(TRY, try_number) == try_number


def is_deferred(found: Mapping[str, Any]) -> bool:
    """Whether the triggerer waits for it, or has brought its task to the end."""
    return _DEFERRED in (found["metadata"].get("annotations") or {})


def _has_ended(found: Object) -> bool:
    return states.phase(states.raw_state(found)).is_terminal


def _is_seen(found: Object) -> bool:
    return _SEEN in (found["metadata"].get("annotations") or {})
