"""Wait in the triggerer until Strimzi says that a Kafka cluster is ready.

Contract: the word is that of the Kafka resource's ``Ready`` condition, for the resource as it is now, by one watch for
all who wait. Nothing is kept that a restarted triggerer would miss. A cluster that is not there yet is waited for, as
is an operator that reports an error, since both may heal; a refusal by the API server ends the wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from bigdata.errors import ClusterError
from bigdata.kafka.strimzi import KAFKA, unready
from bigdata.triggers.clusters import Cluster, shared_watch


class KafkaResourceTrigger(BaseTrigger):
    """Fires once: ``{"found": None}``, or ``{"error": message}``.

    :param cluster: fields of :class:`bigdata.triggers.clusters.Cluster`.
    :param name: of the Kafka resource.
    """

    def __init__(self, cluster: dict[str, Any], namespace: str, name: str) -> None:
        super().__init__()
        self.cluster, self.namespace, self.name = cluster, namespace, name

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See :class:`BaseTrigger`."""
        arguments = {"cluster": self.cluster, "namespace": self.namespace, "name": self.name}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Follow the resource; what keeps it from being ready is a line of the task's log, once."""
        told, watch = "", shared_watch(Cluster(**self.cluster), KAFKA, self.namespace, selector="")
        try:
            async for found in watch.observe(self.name):
                problem = unready(found)
                if not problem:
                    self.log.info("Kafka %s/%s is ready", self.namespace, self.name)
                    yield TriggerEvent({"found": None})
                    return
                if problem != told:
                    self.log.info("Waiting: Kafka %s/%s: %s", self.namespace, self.name, problem)
                    told = problem
        except ClusterError as error:
            yield TriggerEvent({"error": str(error)})
