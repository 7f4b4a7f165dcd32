"""Sensors that wait at the brokers: for a topic, for a group to have read all, for the cluster, for a message.

Deferrable by default: the wait is in the triggerer (:mod:`bigdata.triggers.kafka_wait`). With ``deferrable=False`` the
worker looks at each ``poke_interval``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from bigdata import settings
from bigdata.errors import BigdataError

if TYPE_CHECKING:
    from airflow.sdk import Context


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

    def begin(self, conn_id: str) -> dict[str, Any]:
        """The arguments, with what must be known before the wait begins."""
        return self.arguments()

    def execute(self, context: Context) -> Any:
        """Wait."""
        if not self.deferrable:
            return super().execute(context)
        from bigdata.triggers.kafka_wait import KafkaWaitTrigger

        conn_id = self.kafka_conn_id or settings.load().kafka_conn_id
        trigger = KafkaWaitTrigger(self.what, conn_id, self.begin(conn_id), self.poll_interval)
        timeout = None if self.timeout is None else timedelta(seconds=float(self.timeout))
        return self.defer(trigger=trigger, method_name="resume", timeout=timeout)

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

        if not hasattr(self, "_looked"):
            self._looked = self.arguments()
        try:
            config = connections.kafka(self.kafka_conn_id or settings.load().kafka_conn_id)
            missing, found = look(self.what, config, self._looked)
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
    """Waits until the cluster answers with so many brokers, and these topics have all replicas in sync."""

    what = "cluster"
    template_fields = (*KafkaSensor.template_fields, "brokers", "topics")

    def __init__(self, *, brokers: int | str = 1, topics: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.brokers, self.topics = brokers, list(topics)

    def arguments(self) -> dict[str, Any]:
        """See :class:`KafkaSensor`."""
        return {"brokers": int(self.brokers), "topics": self.topics}


class KafkaMessageSensor(KafkaSensor):
    """Waits for a message; its place, key and value are the XCom.

    Looks at everything from where the wait began, so that nothing is missed while the triggerer restarts. A retry
    begins anew.

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

    def begin(self, conn_id: str) -> dict[str, Any]:
        """Where the topic ends now is where the wait begins, however often the triggerer begins it."""
        from bigdata import connections
        from bigdata.kafka.waits import ends

        arguments = self.arguments()
        if self.latest and not self.offsets:
            found = ends(connections.kafka(conn_id), self.topic)
            arguments["offsets"] = {str(partition): offset for partition, offset in found.items()}
        return arguments
