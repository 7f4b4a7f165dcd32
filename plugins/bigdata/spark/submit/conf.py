"""The Spark properties of a local driver: the manifest's, ours where this machine needs others, and the file that
carries them.

They go into a properties file that only its owner can read, and not onto the command line, which everybody on the
machine can.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bigdata.spark.local.uris import FileMap
from bigdata.spark.manifest.rules import hadoop_conf

LOOPBACK = "127.0.0.1"

# Each is a place or a process of the pod, or decides who can reach the driver.
_NOT_HERE = re.compile(
    r"spark\.(kubernetes\..*|pyspark\.(driver\.)?python|driver\.(host|bindAddress|port|blockManager\.port)"
    r"|local\.dir|submit\.deployMode|master|eventLog\.dir)"
)
_FILE_LISTS = {
    "spark.jars": "jars",
    "spark.submit.pyFiles": "pyFiles",
    "spark.files": "files",
    "spark.archives": "archives",
}
_NAME_LISTS = {
    "spark.jars.packages": "packages",
    "spark.jars.excludes": "excludePackages",
    "spark.jars.repositories": "repositories",
}


def not_here(conf: Mapping[str, str]) -> list[str]:
    """The properties of a manifest that do not apply on this machine."""
    return [key for key, value in conf.items() if _NOT_HERE.fullmatch(key) and not _is_remote_event_log(key, value)]


def properties(
    spec: Mapping[str, Any], name: str, run_dir: Path, events_dir: Path, ivy_dir: Path, ui_port: int
) -> dict[str, str]:
    """All but the files' and the class path's properties.

    :param run_dir: for everything that does not outlive the run.
    :param events_dir: for the event log, unless the manifest sends it somewhere that this machine can reach.
    """
    driver = spec.get("driver") or {}
    given = dict(spec.get("sparkConf") or {})
    conf = {
        "spark.app.name": name,
        "spark.ui.port": str(ui_port),
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events_dir.as_uri(),
        "spark.sql.warehouse.dir": (run_dir / "warehouse").as_uri(),
        "spark.jars.ivy": str(ivy_dir),
        "spark.driver.memory": "1g",
    }
    for key in not_here(given):
        del given[key]
    conf |= given
    if memory := driver.get("memory"):
        conf["spark.driver.memory"] = memory
    # The operator lets spec.driver.javaOptions replace the property.
    options = driver.get("javaOptions") or given.get("spark.driver.extraJavaOptions", "")
    own = [f"-Djava.io.tmpdir={run_dir / 'tmp'}", f"-Dderby.system.home={run_dir / 'work'}"]
    conf["spark.driver.extraJavaOptions"] = " ".join([*map(_quoted_option, own), options]).strip()
    conf |= {f"spark.hadoop.{key}": value for key, value in hadoop_conf(spec).items()}
    conf |= {
        "spark.master": _master(spec),
        "spark.submit.deployMode": "client",
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
    }
    return conf


def dependencies(spec: Mapping[str, Any], files: FileMap) -> dict[str, str]:
    """The properties that name files and packages; what ``spec.deps`` lists replaces the property of the same meaning.

    :raises SubmitError: a file that does not exist, or that nothing here can fetch.
    """
    deps, given = spec.get("deps") or {}, spec.get("sparkConf") or {}
    schemes = hadoop_schemes(spec)
    found = {}
    for key, field in _FILE_LISTS.items():
        listed = deps.get(field) or []
        where = f"spec.deps.{field}"
        if not listed and given.get(key):
            listed, where = [item.strip() for item in given[key].split(",") if item.strip()], f'spec.sparkConf["{key}"]'
        if listed:
            found[key] = ",".join(files.resolve(uri, f"{where}[{index}]", schemes) for index, uri in enumerate(listed))
    for key, field in _NAME_LISTS.items():
        if listed := deps.get(field):
            found[key] = ",".join(listed)
    return found


def class_path(spec: Mapping[str, Any], jars: Iterable[Path]) -> str:
    """The driver's extra class path: the manifest's own, then ours."""
    given = (spec.get("sparkConf") or {}).get("spark.driver.extraClassPath", "")
    return os.pathsep.join([*([given] if given else []), *map(str, jars)])


def hadoop_schemes(spec: Mapping[str, Any]) -> frozenset[str]:
    """Schemes for which the manifest names a Hadoop file system."""
    found = (re.fullmatch(r"fs\.([a-z0-9+.-]+)\.impl", key) for key in hadoop_conf(spec))
    return frozenset(match[1] for match in found if match)


def render(conf: Mapping[str, str]) -> str:
    """The properties as a Java properties file."""
    return "".join(f"{_escaped(key, True)}={_escaped(value)}\n" for key, value in sorted(conf.items()))


def _master(spec: Mapping[str, Any]) -> str:
    cores = (spec.get("driver") or {}).get("cores") or (spec.get("sparkConf") or {}).get("spark.driver.cores") or 1
    return f"local[{cores}]"


def _is_remote_event_log(key: str, value: str) -> bool:
    return key == "spark.eventLog.dir" and "://" in value and not value.startswith("file:")


def _quoted_option(option: str) -> str:
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if re.search(r'[\s"\\]', option) else option


def _escaped(text: str, is_key: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    if is_key:
        return re.sub(r"([ =:#!])", r"\\\1", text)
    return f"\\{text}" if text.startswith(" ") else text
