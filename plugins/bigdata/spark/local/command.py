"""The plan of a local run: the command, the environment and the files of one spark-submit, as a pure function of the
manifest.

Nothing here touches the disk, other than to see whether a ``local://`` or ``file://`` file exists. All that the run
writes lies in its own folder, which is also its working directory, except the event log and the packages that Ivy
downloads: those are for later runs too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from bigdata.errors import ConfigError, SubmitError
from bigdata.spark.local.uris import FileMap
from bigdata.spark.manifest.application import Application
from bigdata.spark.packages import SPARK_VERSION
from bigdata.spark.submit import conf, environment
from bigdata.spark.submit.environment import Secrets

# Shorter values are found by chance in many a line, and are no secrets worth the name.
_SHORTEST_REDACTED = 8

_ENV = frozenset(("env", "envVars", "envSecretKeyRefs", "envFrom"))
_APPLIED = frozenset(
    ("type", "mode", "pythonVersion", "sparkVersion", "mainApplicationFile", "mainClass", "arguments", "deps")
) | {"sparkConf", "hadoopConf", "driver", "executor"}
_APPLIED_DRIVER = _ENV | {"memory", "cores", "javaOptions"}
_APPLIED_EXECUTOR = _ENV
_IMAGE_JOBS = PurePosixPath("/opt/spark/jobs")


def pyspark_home() -> Path:
    """The folder of the installed pyspark, which is a whole Spark; pyspark is not imported for it.

    :raises ConfigError: it is not installed.
    """
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ConfigError("pyspark is not installed in this Python: pip install 'airflow-bigdata[local]'")
    return Path(spec.origin).parent


def _no_secrets(name: str, key: str) -> str:
    raise SubmitError("this runtime was given nothing to resolve secrets with")


@dataclass(frozen=True)
class LocalSettings:
    """What a local run needs to know of this machine.

    :param java_home: of a Java that Spark can use.
    :param state_dir: the run's folder, the event logs and downloaded packages are made in it.
    :param jobs_root: stands for ``image_jobs_root`` of the Spark image.
    :param jars: further jars for the driver's class path, such as those of S3A.
    :param secrets: gives the value of a Secret's key; raises a BigdataError if there is none.
    :param environ: the environment of this process; see :mod:`bigdata.spark.submit.environment` for what is passed on.
    :param python: for the driver and its workers.
    :param ivy_settings: an Ivy settings file for deps.packages, for people behind a mirror.
    """

    java_home: Path
    state_dir: Path
    jobs_root: Path
    image_jobs_root: PurePosixPath = _IMAGE_JOBS
    jars: tuple[Path, ...] = ()
    secrets: Secrets = _no_secrets
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    python: Path = Path(sys.executable)
    spark_home: Path = field(default_factory=pyspark_home)
    ivy_settings: str = ""

    @property
    def runs_dir(self) -> Path:
        """Has a folder for each run, while it runs."""
        return self.state_dir / "spark-runs"

    @property
    def events_dir(self) -> Path:
        """Has the event logs, for the history server."""
        return self.state_dir / "spark-events"

    @property
    def ivy_dir(self) -> Path:
        """Has the packages that Ivy downloaded."""
        return self.state_dir / "ivy"


@dataclass(frozen=True)
class Plan:
    """One spark-submit.

    :param properties: for :attr:`properties_file`.
    :param folders: that must exist before.
    :param not_applied: fields of the manifest that mean nothing on this machine.
    :param redacted: values that must not show in a log.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    properties: Mapping[str, str] = field(repr=False)
    properties_file: Path
    run_dir: Path
    folders: tuple[Path, ...]
    ui_port: int
    not_applied: tuple[str, ...]
    redacted: tuple[str, ...] = field(repr=False)

    @property
    def working_dir(self) -> Path:
        """Where the driver runs; empty at its start."""
        return self.run_dir / "work"

    @property
    def events_dir(self) -> str:
        """Where the event log goes, as a URI."""
        return self.properties["spark.eventLog.dir"] if self.properties["spark.eventLog.enabled"] == "true" else ""


def plan(application: Application, settings: LocalSettings, run_dir: Path, ui_port: int) -> Plan:
    """Plan a local run.

    :param run_dir: a folder of its own for this run.
    :param ui_port: a free port for the Spark UI.
    :raises SubmitError: a file or a secret that is not there, or a type that cannot run here.
    """
    spec = application.spec
    if spec["type"] == "R":
        raise SubmitError(
            f"{application.source}: spec.type: R applications cannot run here, as pyspark carries no SparkR"
        )
    files = FileMap(settings.image_jobs_root, settings.jobs_root, settings.spark_home)
    declared = environment.Declared(spec, application.name, application.namespace, settings.secrets)
    found = conf.properties(spec, application.name, run_dir, settings.events_dir, settings.ivy_dir, ui_port)
    found |= conf.dependencies(spec, files)
    if settings.ivy_settings:
        found.setdefault("spark.jars.ivySettings", settings.ivy_settings)
    if jars := conf.class_path(spec, settings.jars):
        found["spark.driver.extraClassPath"] = jars
    properties_file = run_dir / "spark.properties"
    argv = [str(settings.spark_home / "bin" / "spark-submit"), "--properties-file", str(properties_file)]
    argv += ["--class", spec["mainClass"]] if spec.get("mainClass") else []
    argv += [files.resolve(spec["mainApplicationFile"], "spec.mainApplicationFile", conf.hadoop_schemes(spec))]
    argv += spec.get("arguments") or []
    # A log line holds one line of a secret, such as of a key in PEM.
    secrets = {line.strip() for name in declared.secret_names for line in declared.values[name].splitlines()}
    return Plan(
        argv=tuple(argv),
        environment=environment.inherited(settings.environ) | declared.values | _own_environment(settings, run_dir),
        properties=found,
        properties_file=properties_file,
        run_dir=run_dir,
        folders=(settings.events_dir, settings.ivy_dir, *(run_dir / name for name in ("work", "tmp", "local", "conf"))),
        ui_port=ui_port,
        not_applied=(*not_applied(application), *declared.not_applied),
        redacted=tuple(sorted((value for value in secrets if len(value) >= _SHORTEST_REDACTED), key=len, reverse=True)),
    )


def not_applied(application: Application) -> list[str]:
    """The fields of a manifest that a local run leaves out, as paths."""
    return list(_left_out(application))


def _left_out(application: Application) -> Iterator[str]:
    spec = application.spec
    if application.is_scheduled:
        yield "the schedule (the template runs once)"
    if spec["sparkVersion"] != SPARK_VERSION:
        yield f"spec.sparkVersion {spec['sparkVersion']} (here is {SPARK_VERSION})"
    yield from _unknown(spec, _APPLIED, "spec")
    yield from _unknown(spec.get("driver") or {}, _APPLIED_DRIVER, "spec.driver")
    yield from _unknown(spec.get("executor") or {}, _APPLIED_EXECUTOR, "spec.executor")
    yield from (f"sparkConf {key}" for key in conf.not_here(spec.get("sparkConf") or {}))


def _unknown(found: Mapping[str, Any], applied: frozenset[str], at: str) -> Iterator[str]:
    yield from (f"{at}.{key}" for key, value in found.items() if key not in applied and value not in (None, {}, []))


def _own_environment(settings: LocalSettings, run_dir: Path) -> dict[str, str]:
    """What a driver on this machine must have; it wins over the manifest's."""
    return {
        "PATH": settings.environ.get("PATH", os.defpath),
        "JAVA_HOME": str(settings.java_home),
        "SPARK_HOME": str(settings.spark_home),
        "SPARK_CONF_DIR": str(run_dir / "conf"),
        "SPARK_LOCAL_IP": conf.LOOPBACK,
        "SPARK_LOCAL_DIRS": str(run_dir / "local"),
        "PYSPARK_PYTHON": str(settings.python),
        "PYSPARK_DRIVER_PYTHON": str(settings.python),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(run_dir / "tmp"),
    }
