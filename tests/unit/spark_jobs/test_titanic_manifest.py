"""The manifest of the job, rendered as Airflow renders it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from bigdata.spark.manifest.loading import load
from titanic_etl import parse_args

MANIFEST = Path(__file__).parents[3] / "spark_jobs" / "titanic_etl.yaml"


def rendered(extra: dict[str, Any] | None, login: str | None = "key") -> dict[str, Any]:
    context = {
        "params": {"raw_bucket": "raw", "curated_bucket": "curated", "max_reject_ratio": 0.1},
        "run_id": "manual__2026-11-21T07:05:00+00:00",
        "conn": SimpleNamespace(aws_default=SimpleNamespace(extra_dejson=extra, login=login)),
    }
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    return load(environment.from_string(MANIFEST.read_text()).render(context)).to_dict()


@pytest.mark.parametrize("extra", [None, {}, {"endpoint_url": None}])
def test_without_an_endpoint_it_goes_to_aws(extra: dict[str, Any] | None) -> None:
    conf = rendered(extra)["spec"]["hadoopConf"]

    assert (conf["fs.s3a.endpoint"], conf["fs.s3a.endpoint.region"]) == ("", "us-east-1")


def test_the_connection_s_endpoint_and_region_are_used() -> None:
    conf = rendered({"endpoint_url": "http://127.0.0.1:9000", "region_name": "eu-west-1"})["spec"]["hadoopConf"]

    assert (conf["fs.s3a.endpoint"], conf["fs.s3a.endpoint.region"]) == ("http://127.0.0.1:9000", "eu-west-1")


def test_the_arguments_are_those_of_the_job() -> None:
    args = parse_args(rendered({})["spec"]["arguments"])

    assert args.input == "s3a://raw/titanic/titanic.csv"
    assert args.output == "s3a://curated/titanic"
    assert args.version == "manual__2026-11-21T07:05:00+00:00"
    assert args.max_reject_ratio == 0.1


def test_driver_and_executor_get_credentials_from_the_secret_and_nowhere_else() -> None:
    spec = rendered({})["spec"]
    keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    secret = {key: {"name": "aws-credentials", "key": key} for key in keys}

    assert spec["driver"]["envSecretKeyRefs"] == spec["executor"]["envSecretKeyRefs"] == secret
    assert not [key for key in spec["hadoopConf"] if key.endswith((".access.key", ".secret.key"))]


def test_a_connection_without_keys_leaves_the_pods_to_their_role() -> None:
    spec = rendered({}, login=None)["spec"]

    assert not any("envSecretKeyRefs" in spec[role] for role in ("driver", "executor"))
    assert spec["driver"]["serviceAccount"] == spec["executor"]["serviceAccount"] == "spark"
