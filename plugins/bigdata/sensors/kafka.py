"""Sensors that wait at the brokers: for a topic, for a group to have read all, for the cluster, for a message.

Deferrable by default: the wait is in the triggerer (:mod:`bigdata.triggers.kafka_wait`). With ``deferrable=False`` the
worker looks at each ``poke_interval``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from bigdata import settings
from bigdata.errors import BigdataError, ConfigError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bigdata.connections import StrimziCluster

log = logging.getLogger(__name__)

# Where the task's wait began, in its state store, which lasts from try to try.
_OFFSETS = "kafka_offsets"
READY_BY = ("auto", "brokers", "resource")


class KafkaSensor(BaseSensorOperator):
    """Base of the sensors here.

    :param kafka_conn_id: default: ``[bigdata] kafka_conn_id``.
    :param poll_interval: seconds between two looks.
    :param deferrable: wait in the triggerer.
    :raises BigdataError: what is waited for can never come.
    """

    what: str
    template_fields: Sequence[str] = ("kafka_conn_id",)
    ui_color = "#f3e8fd"

    def __init__(
        self,
        *,
        kafka_conn_id: str | None = None,
        poll_interval: float = 5.0,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"poke_interval": poll_interval} | kwargs)
        self.kafka_conn_id, self.poll_interval, self.deferrable = kafka_conn_id, poll_interval, deferrable

    def arguments(self) -> dict[str, Any]:
        """Of the look."""
        raise NotImplementedError

    def begin(self, context: Context) -> dict[str, Any]:
        """The arguments, with what must be known before the wait begins."""
        return self.arguments()

    def looked(self, context: Context, arguments: Mapping[str, Any]) -> None:
        """Called after each look of a worker, with the arguments of the next."""

    def first(self) -> str | None:
        """What must be so before a look at the brokers makes sense, and is not."""
        return None

    def execute(self, context: Context) -> Any:
        """Wait."""
        return self.look_deferred(context) if self.deferrable else super().execute(context)

    def look_deferred(self, context: Context, began: float | None = None) -> Any:
        """Look from the triggerer from now on.

        :param began: when the wait began, as a time stamp; default: now.
        """
        from bigdata.triggers.kafka_wait import KafkaWaitTrigger

        trigger = KafkaWaitTrigger(self.what, self.conn_id, self.begin(context), self.poll_interval)
        return self.defer(trigger=trigger, method_name="resume", timeout=self.time_left(began))

    def time_left(self, began: float | None = None) -> timedelta | None:
        """What is left of the timeout; None: there is none."""
        if self.timeout is None:
            return None
        gone = 0.0 if began is None else time.time() - began
        return timedelta(seconds=max(float(self.timeout) - gone, 1.0))

    @property
    def conn_id(self) -> str:
        """The connection's id."""
        return self.kafka_conn_id or settings.load().kafka_conn_id

    def resume(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on when it is so."""
        if "error" in event:
            raise BigdataError(event["error"])
        return event["found"]

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        from bigdata import connections
        from bigdata.errors import StackError
        from bigdata.triggers.kafka_wait import look

        try:
            missing, found = self.first() or "", None
            if not missing:
                if not hasattr(self, "_arguments"):
                    self._arguments = self.begin(context)
                missing, found = look(self.what, connections.kafka(self.conn_id), self._arguments)
                self.looked(context, self._arguments)
        except StackError as error:
            missing, found = str(error), None
        if missing:
            self.log.info("Waiting: %s", missing)
        return PokeReturnValue(is_done=not missing, xcom_value=found)


class KafkaTopicSensor(KafkaSensor):
    """Waits until a topic exists with at least so many partitions, each with a leader."""

    what = "topic"
    template_fields = (*KafkaSensor.template_fields, "topic")

    def __init__(self, *, topic: str, partitions: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.topic, self.partitions = topic, partitions

    def arguments(self) -> dict[str, Any]:
        """See :class:`KafkaSensor`."""
        return {"topic": self.topic, "partitions": self.partitions}


class KafkaLagSensor(KafkaSensor):
    """Waits until a group has read a topic up to its end.

    :param most: records that it may be behind.
    """

    what = "lag"
    template_fields = (*KafkaSensor.template_fields, "topic", "group")

    def __init__(self, *, topic: str, group: str, most: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.topic, self.group, self.most = topic, group, most

    def arguments(self) -> dict[str, Any]:
        """See :class:`KafkaSensor`."""
        return {"topic": self.topic, "group": self.group, "most": self.most}


class KafkaReadySensor(KafkaSensor):
    """Waits until the cluster answers with so many brokers, and these topics have all replicas in sync.

    :param by: ``brokers``: ask them; ``resource``: wait first, by watch, until Strimzi says that the Kafka resource is
        ready; ``auto``: by the resource where the connection names one (``strimzi.cluster``).
    """

    what = "cluster"
    template_fields = (*KafkaSensor.template_fields, "brokers", "topics")

    def __init__(self, *, brokers: int | str = 1, topics: Sequence[str] = (), by: str = "auto", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if by not in READY_BY:
            raise ConfigError(f"task {self.task_id}: by={by!r}: must be one of {', '.join(READY_BY)}")
        self.brokers, self.topics, self.by = brokers, list(topics), by

    def arguments(self) -> dict[str, Any]:
        """See :class:`KafkaSensor`."""
        return {"brokers": int(self.brokers), "topics": self.topics}

    def execute(self, context: Context) -> Any:
        """Wait, for the resource first where there is one."""
        cluster = self._cluster() if self.deferrable else None
        if cluster is None:
            return super().execute(context)
        from bigdata.triggers.strimzi import KafkaResourceTrigger

        api = {"conn_id": settings.load().kubernetes_conn_id}
        trigger = KafkaResourceTrigger(api, cluster.namespace, cluster.name)
        began = {"began": time.time()}
        return self.defer(trigger=trigger, method_name="is_resource_ready", kwargs=began, timeout=self.time_left())

    def is_resource_ready(self, context: Context, event: Mapping[str, Any], began: float | None = None) -> Any:
        """Go on with the brokers; ``airflow dags test`` drops what a deferral was given besides the event."""
        self.resume(context, event)
        return self.look_deferred(context, began)

    def first(self) -> str | None:
        """See :class:`KafkaSensor`."""
        from bigdata import connections
        from bigdata.kafka.strimzi import KAFKA, unready
        from bigdata.kubernetes.resources import Resources

        if (cluster := self._cluster()) is None:
            return None
        resources = Resources(connections.kubernetes_client(), KAFKA, cluster.namespace)
        problem = unready(resources.read(cluster.name))
        return f"Kafka {cluster.namespace}/{cluster.name}: {problem}" if problem else None

    def _cluster(self) -> StrimziCluster | None:
        from bigdata import connections

        return connections.cluster_by(self.by, self.conn_id, self.task_id)


class KafkaMessageSensor(KafkaSensor):
    """Waits for a message; its place, key and value are the XCom.

    Looks at everything from where the first try of the task began, so that nothing is missed while a triggerer
    restarts, between two looks of ``mode="reschedule"``, or before a retry. A task that has found its message and is
    cleared begins anew.

    :param key: the message's key; default: any.
    :param fields: what its JSON value must hold; dots reach into objects.
    :param latest: only messages that come from now on; False takes one that is there already.
    :param offsets: partition → offset to begin at, instead.
    """

    what = "message"
    template_fields = (*KafkaSensor.template_fields, "topic", "key", "fields")

    def __init__(
        self,
        *,
        topic: str,
        key: str | None = None,
        fields: Mapping[str, Any] | None = None,
        latest: bool = False,
        offsets: Mapping[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.topic, self.key, self.fields, self.latest = topic, key, dict(fields or {}), latest
        self.offsets = {str(partition): offset for partition, offset in (offsets or {}).items()}

    def arguments(self) -> dict[str, Any]:
        """See :class:`KafkaSensor`."""
        return {
            "topic": self.topic,
            "key": self.key,
            "fields": self.fields,
            "latest": self.latest,
            "offsets": dict(self.offsets),
        }

    def begin(self, context: Context) -> dict[str, Any]:
        """Begin where an earlier try began, else where the topic ends now, however often the triggerer begins."""
        from bigdata import connections
        from bigdata.kafka.waits import ends

        arguments, store = self.arguments(), context.get("task_state_store")
        if kept := store.get(_OFFSETS) if store else None:
            log.info("Going on where an earlier try, or look, of this task was: %s", kept)
            return arguments | {"offsets": kept}
        if self.latest and not self.offsets:
            found = ends(connections.kafka(self.conn_id), self.topic)
            arguments["offsets"] = {str(partition): offset for partition, offset in found.items()}
            if store:
                store.set(_OFFSETS, arguments["offsets"])
        return arguments

    def looked(self, context: Context, arguments: Mapping[str, Any]) -> None:
        """The next look of ``mode="reschedule"`` is another process."""
        if store := context.get("task_state_store") if self.reschedule else None:
            store.set(_OFFSETS, arguments["offsets"])

    def resume(self, context: Context, event: Mapping[str, Any]) -> Any:
        """See :class:`KafkaSensor`."""
        found = super().resume(context, event)
        self._forget(context)
        return found

    def poke(self, context: Context) -> PokeReturnValue:
        """See :class:`KafkaSensor`."""
        found = super().poke(context)
        if found.is_done:
            self._forget(context)
        return found

    @staticmethod
    def _forget(context: Context) -> None:
        """A task that is done begins anew when it is cleared."""
        if store := context.get("task_state_store"):
            store.delete(_OFFSETS)
