"""Bodies of the tasks of titanic_events: where to begin, whether all came through, and what came of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bigdata import connections, settings
from bigdata.errors import DeliveryError
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.formats import Json
from bigdata.kafka.receipt import Receipt
from bigdata.kafka.reconcile import Reconciliation
from bigdata.kafka.records import Record
from bigdata.kafka.waits import ends
from bigdata.titanic.statements import SOURCE_HEADER

log = logging.getLogger(__name__)

GROUP = "titanic_events.reconcile"


def begin(topic: str) -> dict[str, int]:
    """Where a topic ends now, by partition."""
    return {str(partition): offset for partition, offset in ends(_config(), topic).items()}


def reconcile(
    topic: str, receipt: Mapping[str, Any], judged: Mapping[str, Any], start: Mapping[str, int]
) -> dict[str, Any]:
    """Read the statements of a delivery's events; begins where :func:`begin` was, so that it can be run again.

    :raises DeliveryError: an event has no statement, or has two, or the transformation lost count.
    """
    sent = Receipt.from_dict(dict(receipt))
    if judged["count"] != judged["produced"] + judged["dead"]:
        said = f"{judged['produced']} statements and {judged['dead']} dead letters"
        raise DeliveryError(judged["topic"], judged["count"], judged["produced"], said)
    reconciliation, saved = Reconciliation(sent, SOURCE_HEADER), Counter[str]()

    def count(record: Record) -> None:
        if reconciliation(record):
            value = Json().decode(record)
            saved[f"{value['group']} {'saved' if value['saved'] else 'lost'}"] += 1

    consume(_config(), topic, GROUP, count, {int(partition): offset for partition, offset in start.items()})
    return {"statements": reconciliation.check(), "groups": dict(sorted(saved.items()))}


def report(receipt: Mapping[str, Any], judged: Mapping[str, Any], reconciled: Mapping[str, Any]) -> str:
    """Say what came of it."""
    groups = "\n".join(f"  {name:<12} {count:>5}" for name, count in reconciled["groups"].items())
    text = (
        f"{receipt['sent']} passengers sent{' by an earlier try' if receipt['repeated'] else ''}, {judged['count']} "
        f"read, {judged['produced']} statements made, {judged['dead']} dead; {reconciled['statements']} found once "
        f"each\n{groups}"
    )
    log.info("%s", text)
    return text


def _config() -> KafkaConfig:
    return connections.kafka(settings.load().kafka_conn_id)
