"""Sees what comes and goes on the cluster while a test does something else."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from bigdata.errors import ClusterError
from bigdata.kubernetes.errors import told
from bigdata.kubernetes.resources import Resources
from bigdata.spark.kubernetes import states
from bigdata.spark.naming import OURS


class Witness:
    """Sees every application of ours that ever is in the namespace, and how many, and how many drivers, at once."""

    def __init__(self, resources: Resources) -> None:
        from kubernetes.client import CoreV1Api

        self.uids: list[str] = []
        self.most = self.most_drivers = 0
        self._resources, self._stopped = resources, threading.Event()
        self._core = CoreV1Api(resources.api_client)
        threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def raw(self) -> str:
        """The state of the one application; "none" without one."""
        found = self._resources.select(OURS)
        return states.raw_state(found[0]) or "NEW" if found else "none"

    def _drivers(self) -> list[Any]:
        """Those that run, or are being ended."""
        with told("pods"):
            pods = self._core.list_namespaced_pod(self._resources.namespace, label_selector=f"{OURS},spark-role=driver")
        return [pod for pod in pods.items if pod.status.phase in ("Pending", "Running")]

    def _look(self) -> None:
        while not self._stopped.is_set():
            with suppress(ClusterError):
                found = [item for item in self._resources.select(OURS) if "deletionTimestamp" not in item["metadata"]]
                self.uids += [uid for item in found if (uid := item["metadata"]["uid"]) not in self.uids]
                self.most = max(self.most, len(found))
                self.most_drivers = max(self.most_drivers, len(self._drivers()))
            self._stopped.wait(0.2)
