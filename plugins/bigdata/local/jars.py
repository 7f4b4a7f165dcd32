"""The sets of jars that the laptop runs on: one for each service, and one for Spark drivers.

They lie in ``<state_dir>/jars/<set>``; see :mod:`bigdata.local.ivy` for what a crash leaves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bigdata.local import ivy
from bigdata.settings import Settings
from bigdata.spark.packages import KAFKA_EXCLUDES, KAFKA_PACKAGES, S3A_EXCLUDES, S3A_PACKAGES


@dataclass(frozen=True)
class JarSet:
    """Maven packages that are resolved together."""

    packages: tuple[str, ...]
    excludes: tuple[str, ...] = ()


KAFKA_VERSION = "4.3.1"
S3_VERSION = "4.8.0"

JAR_SETS = {
    # The broker's log needs a back end for slf4j, which the broker's own package does not bring.
    "kafka": JarSet(
        (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
    ),
    "s3": JarSet((f"com.adobe.testing:s3mock:{S3_VERSION}",)),
    "spark": JarSet((*S3A_PACKAGES, *KAFKA_PACKAGES), (*S3A_EXCLUDES, *KAFKA_EXCLUDES)),
}


def spark_jars(settings: Settings, progress: Callable[[str], None] = lambda line: None) -> list[Path]:
    """The jars that S3A and Kafka need on a driver's class path beyond those that pyspark has.

    :raises StackError: when they are not there and cannot be downloaded.
    """
    return ivy.beyond_pyspark(_resolve(settings, "spark", progress, None, ()))


def fetch(
    settings: Settings,
    names: Iterable[str],
    progress: Callable[[str], None] = lambda line: None,
    jvm_options: tuple[str, ...] = (),
) -> dict[str, list[Path]]:
    """Several sets at once: a first download is mostly waiting for answers.

    :param names: keys of :data:`JAR_SETS`.
    :raises StackError: of the first set that fails; the others are then cancelled.
    """
    cancelled = threading.Event()
    with ThreadPoolExecutor() as pool:
        work = {name: pool.submit(_resolve, settings, name, progress, cancelled, jvm_options) for name in names}
        try:
            return {name: future.result() for name, future in work.items()}
        except BaseException:
            cancelled.set()
            raise


def _resolve(
    settings: Settings,
    name: str,
    progress: Callable[[str], None],
    cancelled: threading.Event | None,
    jvm_options: tuple[str, ...],
) -> list[Path]:
    wanted = JAR_SETS[name]
    mirror = settings.ivy_settings and str(settings.project_dir / Path(settings.ivy_settings).expanduser())
    return ivy.resolve(
        name,
        wanted.packages,
        wanted.excludes,
        folder=settings.state_dir / "jars",
        ivy_settings=mirror,
        progress=progress,
        cancelled=cancelled,
        jvm_options=jvm_options,
    )
