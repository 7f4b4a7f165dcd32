"""Bodies of the tasks of titanic_stream: what Spark has to know, and the proof of what it did."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bigdata import connections
from bigdata.kafka import waits
from bigdata.settings import Settings
from bigdata.storage.objects import ensure_bucket
from bigdata.titanic import stream

log = logging.getLogger(__name__)

PREFIX = "titanic_stream"

Params = Mapping[str, Any]

# What spark_jobs/kafka_source.py looks for in its environment.
_VARIABLES = {
    "sasl.password": "KAFKA_SASL_PASSWORD",
    "ssl.ca.pem": "KAFKA_SSL_CA",
    "ssl.certificate.pem": "KAFKA_SSL_CERTIFICATE",
    "ssl.key.pem": "KAFKA_SSL_KEY",
}


def prepare(settings: Settings, params: Params) -> dict[str, Any]:
    """Make the bucket, and tell Spark how to reach the topic, which must exist.

    Spark comes in by ``params["stream_kafka_conn_id"]``, whose user need not be allowed more than to read.

    :return: the brokers' address and how they let a client in, of its secrets the variable and the Secret's name and
        key, and where the topic ends now.
    """
    conn_id = params.get("stream_kafka_conn_id") or settings.kafka_conn_id
    config = connections.kafka(conn_id)
    ends = waits.ends(config, params["topic"])
    ensure_bucket(connections.object_store(settings.s3_conn_id), params["curated_bucket"])
    log.info("Topic %s ends at %s", params["topic"], ", ".join(f"{part}: {end}" for part, end in ends.items()))
    refs = connections.kafka_secret_refs(conn_id, config)
    return {
        "bootstrap_servers": config.bootstrap_servers,
        "security_protocol": config.options.get("security_protocol", "PLAINTEXT"),
        "sasl_mechanism": config.options.get("sasl_mechanism", "SCRAM-SHA-512"),
        "sasl_username": config.options.get("sasl_plain_username", ""),
        "secrets": {_VARIABLES[key]: ref._asdict() for key, ref in refs.items()},
        "ends": {str(part): end for part, end in ends.items()},
    }


def verify(settings: Settings, params: Params, prepared: Mapping[str, Any]) -> dict[str, Any]:
    """Compare what the stream has delivered since the last proof with the topic, record by record."""
    config = connections.kafka(settings.kafka_conn_id)
    fs = connections.object_store(settings.s3_conn_id).filesystem()
    topic = params["topic"]
    base = f"{params['curated_bucket']}/{PREFIX}/{topic}"
    proof = stream.prove(config, fs, base, topic)
    if params["mode"] == "available-now":
        stream.check_reached(fs, base, topic, {int(part): end for part, end in prepared["ends"].items()})
    for reason in proof.reasons:
        log.warning("Rejected: %s", reason)
    log.info(
        "%d batches to s3://%s: %d rows and %d rejects, each record of %s once (%s)",
        proof.batches,
        base,
        proof.rows,
        proof.rejects,
        topic,
        ", ".join(f"{part}: {count}" for part, count in proof.counts.items()) or "nothing new",
    )
    found = asdict(proof)
    found["offsets"] = {str(part): list(span) for part, span in proof.offsets.items()}
    found["counts"] = {str(part): count for part, count in proof.counts.items()}
    return found | {"uri": f"s3://{base}"}
