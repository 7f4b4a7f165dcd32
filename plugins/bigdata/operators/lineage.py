"""OpenLineage: tell an application which Airflow task has started it.

The parent's facts go into ``sparkConf``, where Spark's OpenLineage listener finds them; they hold no secret. Transport
properties, which may hold an API key, are left to the image or to a Secret of the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigdata.spark.manifest.application import Application

if TYPE_CHECKING:
    from airflow.sdk import Context

_PARENT = "spark.openlineage.parent"


def with_parent(application: Application, context: Context, wanted: bool | None) -> Application:
    """The application with the parent's facts, unless its manifest names a parent itself.

    :param wanted: None: where the OpenLineage provider is installed and has a transport.
    """
    if not (_is_configured() if wanted is None else wanted):
        return application
    if any(key.startswith(_PARENT) for key in application.spec.get("sparkConf") or {}):
        return application
    from airflow.providers.common.compat.openlineage.utils.spark import (
        inject_parent_job_information_into_spark_properties,
    )

    found = inject_parent_job_information_into_spark_properties({}, context)
    return application.with_spec(sparkConf={key: str(value) for key, value in found.items()}) if found else application


def _is_configured() -> bool:
    try:
        from airflow.providers.openlineage.conf import is_disabled
    except ImportError:
        return False
    return not is_disabled()
