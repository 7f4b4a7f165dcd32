"""Bodies of the Titanic DAG's tasks: connections and settings in, the steps of this package, XComs out.

The only module here that knows Airflow; nothing in it runs when a DAG is parsed.
"""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bigdata import connections
from bigdata.errors import DataError
from bigdata.kafka.consume import consume
from bigdata.kafka.produce import Receipt, produce
from bigdata.kafka.reconcile import Reconciliation
from bigdata.kafka.topics import ensure_topic
from bigdata.settings import RuntimeName, Settings
from bigdata.storage import dataset
from bigdata.storage.objects import ensure_bucket, put_file
from bigdata.titanic import landing, quality, summary
from bigdata.titanic.events import passenger_records
from bigdata.titanic.survivors import COLUMNS, Survivors

log = logging.getLogger(__name__)

PREFIX = "titanic"
GROUP = "titanic_etl"

Params = Mapping[str, Any]


def land(settings: Settings, params: Params) -> dict[str, Any]:
    """Make both buckets and bring the source into the raw one."""
    store = connections.object_store(settings.s3_conn_id)
    ensure_bucket(store, params["curated_bucket"])
    return landing.land(store, params["source"], settings.project_dir, params["raw_bucket"]).to_dict()


def check_quality(settings: Settings, params: Params, landed: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """Count the published dataset, which must be this run's, against the landed file and check each row."""
    fs, published = _published(settings, params)
    if not published.version.startswith(_path_safe(run_id)):
        raise DataError(
            f"run {run_id} should have published, but {published.version} is there: another run came between"
        )
    stored = quality.check_rows(dataset.batches(fs, published.passengers_path))
    quality.check_counts(landed["rows"], published.rows_in, published.rows_out, published.rows_rejected, stored)
    return {"version": published.version, "rows": stored, "rejected": published.rows_rejected}


def send(settings: Settings, params: Params, version: str, delivery: str) -> dict[str, Any]:
    """Produce each curated passenger to the topic."""
    config = connections.kafka(settings.kafka_conn_id)
    ensure_topic(config, params["topic"], params["partitions"])
    fs, published = _published(settings, params, version)
    records = passenger_records(_rows(fs, published))
    receipt = produce(config, params["topic"], records, delivery)
    if receipt.sent != published.rows_out:
        raise DataError(f"{published.rows_out} rows published, but {receipt.sent} sent to {params['topic']}")
    return receipt.to_dict()


def verify(settings: Settings, receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Read the delivery back from the topic; it begins where the delivery began, so that it can be run again."""
    sent = Receipt.from_dict(dict(receipt))
    reconciliation = Reconciliation(sent)
    start = {partition: first for partition, (first, _) in sent.offsets.items()}
    consumed = consume(connections.kafka(settings.kafka_conn_id), sent.topic, GROUP, reconciliation, start)
    found = reconciliation.check()
    log.info(
        "%d sent, %d read back once each, %d records of other deliveries passed",
        sent.sent,
        found,
        reconciliation.others,
    )
    return {"sent": sent.sent, "found": found, "others": reconciliation.others, "read": consumed.count}


def report(settings: Settings, params: Params, version: str) -> dict[str, Any]:
    """Count survivors: a table in the log, a plot in the curated bucket and, on a laptop, on disk."""
    fs, published = _published(settings, params, version)
    survivors = Survivors.count(_rows(fs, published, COLUMNS))
    log.info("Survivors\n%s", survivors.table())
    store = connections.object_store(settings.s3_conn_id)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "titanic_survivors.png"
        survivors.plot(path)
        uri = put_file(store, path, params["curated_bucket"], f"{PREFIX}/reports/{published.version}.png", "image/png")
        kept = _kept(settings, path)
    return survivors.to_dict() | {"plot": uri, "plot_file": kept}


def _kept(settings: Settings, file: Path) -> str:
    """Where a file stays after its task: on a laptop; elsewhere the disk goes with the worker."""
    if settings.runtime is not RuntimeName.LOCAL:
        return ""
    folder = settings.state_dir / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    return str(shutil.copy(file, folder))


def summarize(
    settings: Settings,
    params: Params,
    version: str,
    landed: Mapping[str, Any],
    receipt: Mapping[str, Any],
    verified: Mapping[str, Any],
    reported: Mapping[str, Any],
) -> str:
    """Say in a few lines what the run made and where it is; on a laptop ``make run`` prints the same lines last."""
    _, published = _published(settings, params, version)
    text = summary.summary(f"s3://{published.passengers_path}", published, landed, receipt, verified, reported)
    print(text)  # noqa: T201 - the last lines of the task's log, without a prefix
    if settings.runtime is RuntimeName.LOCAL:
        summary_file(settings).write_text(text + "\n", encoding="utf-8")
    return text


def summary_file(settings: Settings) -> Path:
    """Where the last run's summary is kept on a laptop."""
    return settings.state_dir / "reports" / "titanic_etl.txt"


def _published(settings: Settings, params: Params, version: str = "") -> tuple[Any, dataset.Published]:
    """What is published now; it must be ``version`` if that is given, so that all tasks of a run see the same rows."""
    fs = connections.object_store(settings.s3_conn_id).filesystem()
    published = dataset.current(fs, f"{params['curated_bucket']}/{PREFIX}")
    if version and published.version != version:
        raise DataError(f"this run checked {version}, but {published.version} was published meanwhile: run again")
    return fs, published


def _path_safe(run_id: str) -> str:
    """What spark_jobs/titanic_etl.py makes of its argument ``--version``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run_id).strip("-.")[:100]


def _rows(fs: Any, published: dataset.Published, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    for batch in dataset.batches(fs, published.passengers_path, columns):
        yield from batch.to_pylist()
