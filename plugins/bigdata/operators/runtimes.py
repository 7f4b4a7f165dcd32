"""Make a runtime out of the settings and Airflow's connections."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from bigdata import connections

if TYPE_CHECKING:
    from bigdata.settings import Settings
    from bigdata.spark.local import LocalRuntime


def local_runtime(chosen: Settings, log: Callable[[str], None], on_ui: Callable[[str], None]) -> LocalRuntime:
    """The runtime of this machine; the first one ever downloads the S3A jars.

    :raises StackError: no Java that Spark can use, or the jars cannot be had.
    """
    from bigdata.local.jars import spark_jars
    from bigdata.local.java import find_java
    from bigdata.spark.command import LocalSettings
    from bigdata.spark.local import LocalRuntime

    local = LocalSettings(
        java_home=find_java().home,
        state_dir=chosen.state_dir,
        jobs_root=chosen.jobs_root,
        image_jobs_root=chosen.image_jobs_root,
        jars=tuple(spark_jars(chosen, log)),
        secrets=lambda secret, key: connections.secret_value(chosen.secret_connections, secret, key),
        environ=os.environ,
        ivy_settings=chosen.ivy_settings,
    )
    return LocalRuntime(local, log, on_ui)
