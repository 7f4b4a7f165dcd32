"""The pods of drivers: found, and deleted together with what they own."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from bigdata.errors import SubmitError
from bigdata.spark.manifest.application import Application
from bigdata.spark.naming import APPLICATION, PREFIX, TRY, same_task

log = logging.getLogger(__name__)

_DELETE_SECONDS = 120.0
_PAUSE = 0.5
_SELECTOR = "spark-app-selector"


class DriverPods:
    """The drivers of one namespace.

    :param core: a kubernetes ``CoreV1Api``.
    """

    def __init__(self, core: Any, namespace: str) -> None:
        self._core, self.namespace = core, namespace

    def read(self, name: str) -> Any:
        """A pod as the client has it, or None.

        :raises SubmitError: the API server cannot be asked, or refuses.
        """
        return self._ask(self._core.read_namespaced_pod, name, self.namespace, _request_timeout=30)

    def delete(self, name: str, uid: str = "") -> None:
        """Delete a driver's pod and wait until it and its executors are gone; harmless if there is none.

        :param uid: delete no other pod of that name.
        """
        pod = self.read(name)
        if pod is None or (uid and pod.metadata.uid != uid):
            return
        app_id = (pod.metadata.labels or {}).get(_SELECTOR, "")
        options = {"preconditions": {"uid": pod.metadata.uid}, "propagationPolicy": "Background"}
        self._ask(self._core.delete_namespaced_pod, name, self.namespace, body=options, _request_timeout=30)
        self._await_end(name, pod.metadata.uid, app_id)

    def delete_earlier(self, application: Application, name: str) -> list[str]:
        """Delete what earlier tries of the application's task left, and a pod that has its very name.

        :returns: the names of the pods deleted.
        :raises SubmitError: a pod of that name is somebody else's.
        """
        found = [pod for pod in [self.read(name)] if pod]
        # The name alone does not tell, as two tasks may be given the same one.
        own = {key: value for key, value in application.labels.items() if key.startswith(PREFIX) and key != TRY}
        own[APPLICATION] = application.name
        for pod in found:
            if any((pod.metadata.labels or {}).get(key) != value for key, value in own.items()):
                raise SubmitError(
                    f"{application.name}: pod {self.namespace}/{name} exists and is not of this application: "
                    "give the application another name, or delete the pod"
                )
        if selector := same_task(application.labels):
            listed = self._ask(
                self._core.list_namespaced_pod,
                self.namespace,
                label_selector=f"{selector},spark-role=driver",
                _request_timeout=30,
            )
            found += listed.items if listed else []
        return self._delete_all({pod.metadata.name: pod.metadata.uid for pod in found}.items())

    def await_earlier(self, labels: Mapping[str, str], seconds: float = _DELETE_SECONDS) -> None:
        """Wait until no driver of the task runs any more, as one may for a while whose application has been deleted.

        :param labels: of an application of the task.
        :param seconds: after which it is not waited for any more.
        """
        selector, deadline = same_task(labels), time.monotonic() + seconds
        while selector and (names := self._running(f"{selector},spark-role=driver")):
            if time.monotonic() > deadline:
                log.warning("still there after %.0f s: %s", seconds, ", ".join(names))
                return
            time.sleep(_PAUSE)

    def _running(self, selector: str) -> list[str]:
        options = {"label_selector": selector, "field_selector": "status.phase!=Succeeded,status.phase!=Failed"}
        found = self._ask(self._core.list_namespaced_pod, self.namespace, **options, _request_timeout=30)
        return [pod.metadata.name for pod in found.items] if found else []

    def _delete_all(self, pods: Iterable[tuple[str, str]]) -> list[str]:
        deleted = []
        for name, uid in pods:
            self.delete(name, uid)
            deleted.append(name)
        return deleted

    def _await_end(self, name: str, uid: str, app_id: str) -> None:
        deadline = time.monotonic() + _DELETE_SECONDS
        while time.monotonic() < deadline:
            pod = self.read(name)
            if (pod is None or pod.metadata.uid != uid) and not self._executors(app_id):
                return
            time.sleep(_PAUSE)
        log.warning("pod %s/%s is deleted, but not gone after %.0f s", self.namespace, name, _DELETE_SECONDS)

    def _executors(self, app_id: str) -> bool:
        if not app_id:
            return False
        selector = f"{_SELECTOR}={app_id},spark-role=executor"
        found = self._ask(self._core.list_namespaced_pod, self.namespace, label_selector=selector, _request_timeout=30)
        return bool(found and found.items)

    def _ask(self, call: Any, *args: Any, **options: Any) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return call(*args, **options)
        except ApiException as error:
            if error.status in (404, 409):
                return None
            raise SubmitError(
                f"namespace {self.namespace}: the API server refuses: {error.status} {error.reason}"
            ) from error
        except HTTPError as error:
            raise SubmitError(f"the API server does not answer: {error}") from error
