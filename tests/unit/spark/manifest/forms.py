"""SparkPi in the provider's form of template_spec."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load

PI = load(Path(__file__).parents[4] / "spark_jobs" / "spark_pi.yaml").to_dict()


def wrap(spec: dict[str, Any] | None = None, **kubernetes: Any) -> Application:
    """SparkPi with these fields of its spec, merged one level deep, in the form."""
    application = copy.deepcopy(PI)
    for key, value in (spec or {}).items():
        old = application["spec"].get(key)
        application["spec"][key] = {**old, **value} if isinstance(old, dict) else value
    return load({"spark": application, "kubernetes": kubernetes})
