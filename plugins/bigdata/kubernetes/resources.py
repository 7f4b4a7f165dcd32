"""One kind of custom resource in one namespace.

Contract: a name is created at most once, however often :meth:`Resources.create` is called or its answer is lost, since
the API server refuses a second object of the same name; the caller gets the one that is there and must tell from its
labels whether it is the caller's own. A delete names the object's uid, so it never hits a successor of that name.
Requests that an API server fails to answer are repeated for ``patience`` seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bigdata import __version__
from bigdata.errors import ClusterError
from bigdata.kubernetes.errors import told

T = TypeVar("T")
Object = Mapping[str, Any]

# By what the API server's audit log knows our requests.
USER_AGENT = f"airflow-bigdata/{__version__}"

_REQUEST_SECONDS = (10, 30)
_POLL_SECONDS = 0.2
_GONE_SECONDS = 120.0
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Kind:
    """A kind of custom resource, such as SparkApplication."""

    group: str
    version: str
    kind: str
    plural: str

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}"


class Resources:
    """The objects of one kind in one namespace.

    :param api_client: a ``kubernetes.client.ApiClient``; it alone decides which cluster is meant.
    :param patience: seconds for which a request is repeated while the API server does not answer.
    """

    def __init__(self, api_client: Any, kind: Kind, namespace: str, patience: float = 60.0) -> None:
        from kubernetes.client import CustomObjectsApi

        self.api_client, self.kind, self.namespace, self._patience = api_client, kind, namespace, patience
        self._api = CustomObjectsApi(api_client)
        self._where = (kind.group, kind.version, namespace, kind.plural)

    def create(self, body: Object) -> tuple[Object, bool]:
        """Create an object, unless one of its name is there; one that is being deleted is waited for.

        :returns: the object as the server has it, and whether this call, or an earlier try of it, may have made it.
        :raises ClusterError: the server refuses, or does not answer.
        """
        name = body["metadata"]["name"]
        try:
            made = self._ask(name, self._api.create_namespaced_custom_object, body=dict(body))
        except ClusterError as error:
            if error.status != 409:
                raise
            found = self.read(name)
            if found is not None and "deletionTimestamp" not in found["metadata"]:
                return found, False
            if found is not None:
                self._await_gone(name, found["metadata"]["uid"], _GONE_SECONDS)
            made = self._ask(name, self._api.create_namespaced_custom_object, body=dict(body))
        return made, True

    def read(self, name: str) -> Object | None:
        """An object as it is now; None if there is none.

        :raises ClusterError: the server refuses, or does not answer, or does not know the kind.
        """
        try:
            found: Object = self._ask(name, self._api.get_namespaced_custom_object, name=name)
        except ClusterError as error:
            if error.status == 404 and "does not know this kind" not in str(error):
                return None
            raise
        return found

    def select(self, label_selector: str) -> list[Object]:
        """The objects that have these labels.

        :raises ClusterError: the server refuses, or does not answer, or does not know the kind.
        """
        found = self._ask("", self._api.list_namespaced_custom_object, label_selector=label_selector)
        return list(found["items"])

    def patch(self, name: str, change: Object) -> Object:
        """Merge a change into an object.

        :returns: the object as the server has it then.
        :raises ClusterError: there is none, or the server refuses, or does not answer.
        """
        call = self._api.patch_namespaced_custom_object
        found: Object = self._ask(name, call, name=name, body=dict(change), _content_type=_MERGE)
        return found

    def apply(self, body: Object, manager: str) -> Object:
        """Create an object, or change it to what the body says (server-side apply); fields of other managers stay.

        :param manager: who owns the fields of the body from now on.
        :returns: the object as the server has it then.
        :raises ClusterError: the server refuses, or does not answer.
        """
        name, call = body["metadata"]["name"], self._api.patch_namespaced_custom_object
        options = {"field_manager": manager, "force": True, "_content_type": _APPLY}
        found: Object | None = self._ask(name, call, name=name, body=dict(body), **options)
        # The client drops the answer to an apply that creates (201).
        return found or self.read(name) or {}

    def delete(self, name: str, uid: str = "", wait: float = _GONE_SECONDS) -> bool:
        """Delete an object with all that it owns, and wait until it is gone; harmless if there is none.

        :param uid: delete no other object of that name.
        :param wait: seconds; 0 does not wait.
        :returns: whether it is gone.
        :raises ClusterError: the server refuses, or does not answer.
        """
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self._ask(name, self._api.delete_namespaced_custom_object, name=name, body=options)
        except ClusterError as error:
            if error.status == 409:  # another uid: what was meant is gone
                return True
            if error.status != 404:
                raise
        return self._await_gone(name, uid, wait)

    def _await_gone(self, name: str, uid: str, wait: float) -> bool:
        deadline = time.monotonic() + wait
        while (found := self.read(name)) is not None and (not uid or found["metadata"]["uid"] == uid):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def watch(self, name: str, version: str, seconds: int) -> Iterator[Mapping[str, Any]]:
        """Yield the events of one object after a version of it, for some seconds.

        :raises ClusterError: the version is too old (410), the server refuses, or the connection broke.
        """
        from kubernetes.watch import Watch

        with told(f"{self.kind} {self.namespace}/{name}"):
            yield from Watch().stream(
                self._api.list_namespaced_custom_object,
                *self._where,
                field_selector=f"metadata.name={name}",
                resource_version=version,
                timeout_seconds=seconds,
                _request_timeout=(_REQUEST_SECONDS[0], seconds + 30),
            )

    def _ask(self, asked: str, call: Callable[..., T], **options: Any) -> T:
        what = f"{self.kind} {self.namespace}/{asked}" if asked else f"{self.kind} in {self.namespace}"
        deadline, pause = time.monotonic() + self._patience, 0.2
        while True:
            try:
                with told(what):
                    return call(*self._where, _request_timeout=_REQUEST_SECONDS, **options)
            except ClusterError as error:
                if not error.is_transient or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, 5.0)
