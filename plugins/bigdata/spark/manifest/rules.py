"""What a SparkApplication must keep to beyond its schema: what the operator's webhook, Kubernetes, Spark or the JVM
would refuse later.

Names: the webhook wants a DNS-1035 label. With Prometheus monitoring the operator derives the volume
``<name>-prom-conf-vol`` from it, and a ScheduledSparkApplication names each run ``<name>-<19 digits>``, so both leave
less room.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bigdata.spark.manifest.problems import Path, Problem

LONGEST_NAME = 63
_ROOM_FOR_MONITORING = len("-prom-conf-vol")
_ROOM_FOR_SCHEDULE = len("-") + 19

DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_JVM_MEMORY = re.compile(r"[0-9]+[kmgt]", re.IGNORECASE)
_SPARK_MEMORY = re.compile(r"[0-9]+(b|[kmgtp]b?)?", re.IGNORECASE)
_QUANTITY = re.compile(r"[0-9]*\.?[0-9]+([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?")
_PACKAGE = re.compile(r"[^:\s,]+:[^:\s,]+:[^:\s,]+")
_EXCLUDE = re.compile(r"[^:\s,]+:[^:\s,]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")

# Hadoop has a file system for each of these, or a connector that people use; s3 only where it is mapped to one.
SCHEMES = frozenset(
    (
        "local",
        "file",
        "http",
        "https",
        "ftp",
        "s3a",
        "hdfs",
        "webhdfs",
        "swebhdfs",
        "viewfs",
        "gs",
        "abfs",
        "abfss",
        "wasb",
        "wasbs",
    )
) | {"oss", "obs", "cosn", "ofs", "o3fs", "alluxio"}
INTERNAL = "spark-internal"

_MANAGED = "the operator refuses it: use spec.{}"
_REFUSED_CONF = {
    "spark.master": "the runtime sets it: remove it",
    "spark.kubernetes.driver.master": "the operator sets it: remove it",
    "spark.kubernetes.container.image": _MANAGED.format("image"),
    "spark.kubernetes.driver.container.image": _MANAGED.format("driver.image"),
    "spark.kubernetes.executor.container.image": _MANAGED.format("executor.image"),
    "spark.kubernetes.authenticate.driver.serviceAccountName": _MANAGED.format("driver.serviceAccount"),
    "spark.kubernetes.authenticate.executor.serviceAccountName": _MANAGED.format("executor.serviceAccount"),
}
_REFUSED_PREFIX = re.compile(r"spark\.kubernetes\.authenticate\.((driver|executor)\.)?oauthToken(File)?")
_SUFFIX: dict[str, str] = {"Python": ".py", "R": ".r", "Java": ".jar", "Scala": ".jar"}


def check(document: dict[str, Any]) -> Iterator[Problem]:
    """Yield the problems of a document; fields of a wrong type are passed over, as the schema's check names them."""
    metadata, spec = _dict(document.get("metadata")), _dict(document.get("spec"))
    at: Path = ("spec",)
    scheduled = document["kind"] != "SparkApplication"
    if scheduled:
        spec, at = _dict(spec.get("template")), ("spec", "template")
    prometheus = bool(_dict(spec.get("monitoring")).get("prometheus"))
    if isinstance(document.get("metadata"), dict):
        yield from _metadata(
            metadata, (_ROOM_FOR_SCHEDULE if scheduled else 0) + (_ROOM_FOR_MONITORING if prometheus else 0)
        )
    yield from _main_file(spec, at)
    yield from _dependencies(_dict(spec.get("deps")), (*at, "deps"))
    yield from _conf(_dict(spec.get("sparkConf")), (*at, "sparkConf"), metadata.get("namespace"))
    for role in ("driver", "executor"):
        pod, place = _dict(spec.get(role)), (*at, role)
        yield from _sizes(pod, place, role)
        yield from labels(pod.get("labels"), (*place, "labels"))
        if pod.get("nodeSelector") and spec.get("nodeSelector"):
            yield Problem(
                (*place, "nodeSelector"), "is set in spec.nodeSelector too, and the operator takes one or the other"
            )
    yield from _allocation(_dict(spec.get("dynamicAllocation")), (*at, "dynamicAllocation"))
    factor = spec.get("memoryOverheadFactor")
    if isinstance(factor, str) and not re.fullmatch(r"[0-9]*\.?[0-9]+", factor):
        yield Problem((*at, "memoryOverheadFactor"), f'"{factor}" is no number, such as "0.1"')


def name_problem(name: str, room: int = 0) -> str:
    """What is wrong with an application's name; empty if nothing.

    :param room: characters that derived names need.
    """
    if not DNS_1035.fullmatch(name):
        return f'"{name}" is no DNS-1035 label: a-z, 0-9 and "-", starting with a letter and not ending with "-"'
    longest = LONGEST_NAME - room
    if len(name) > longest:
        return f"has {len(name)} characters, and {longest} is the most that leaves room for the names derived from it"
    return ""


def labels(found: Any, path: Path) -> Iterator[Problem]:
    """Yield the problems of labels."""
    for key, value in _dict(found).items():
        if not _LABEL_KEY.fullmatch(key):
            yield Problem((*path, key), "is no valid label key")
        elif isinstance(value, str) and not _LABEL_VALUE.fullmatch(value):
            yield Problem(
                (*path, key), f'"{value}" is no valid label value: at most 63 letters, digits, "-", "_" and "."'
            )


def uri_problem(uri: str, hadoop: dict[str, Any]) -> str:
    """What is wrong with the address of a file; empty if nothing.

    :param hadoop: Hadoop settings, which may define schemes of their own as ``fs.<scheme>.impl``.
    """
    found = _SCHEME.match(uri)
    if not found:
        return f'"{uri}" has no scheme: write local:// for a file of the image, as in local:///opt/spark/jobs/job.py'
    scheme = found[1].lower()
    if scheme in SCHEMES or f"fs.{scheme}.impl" in hadoop:
        return ""
    hint = (
        "write s3a://"
        if scheme.startswith("s3")
        else "known are local, file, s3a, https, http, hdfs, gs, abfss and others"
    )
    return f'"{uri}": Spark cannot read {scheme}://; {hint}'


def hadoop_conf(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Hadoop's settings, from both places that may hold them, without the prefix."""
    prefix = "spark.hadoop."
    conf = {
        key.removeprefix(prefix): value for key, value in _dict(spec.get("sparkConf")).items() if key.startswith(prefix)
    }
    return {**conf, **_dict(spec.get("hadoopConf"))}


def _metadata(metadata: dict[str, Any], room: int) -> Iterator[Problem]:
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if name is None:
        yield Problem(("metadata", "name"), "is missing")
    elif isinstance(name, str) and (problem := name_problem(name, room)):
        yield Problem(("metadata", "name"), problem)
    if isinstance(namespace, str) and not (_DNS_1123.fullmatch(namespace) and len(namespace) <= 63):
        yield Problem(("metadata", "namespace"), f'"{namespace}" is no valid name of a namespace')
    yield from labels(metadata.get("labels"), ("metadata", "labels"))


def _main_file(spec: dict[str, Any], at: Path) -> Iterator[Problem]:
    main, path = spec.get("mainApplicationFile"), (*at, "mainApplicationFile")
    if not isinstance(main, str) or main == INTERNAL:
        return
    if not main:
        yield Problem(path, "is empty")
    elif problem := uri_problem(main, hadoop_conf(spec)):
        yield Problem(path, problem)
    elif not main.lower().endswith(suffix := _SUFFIX.get(str(spec.get("type")), "")):
        yield Problem(path, f'"{main}" does not end in {suffix}, as a file of type {spec["type"]} must')


def _dependencies(deps: dict[str, Any], at: Path) -> Iterator[Problem]:
    for field, pattern, form in (
        ("packages", _PACKAGE, "group:artifact:version"),
        ("excludePackages", _EXCLUDE, "group:artifact"),
    ):
        for index, item in enumerate(_list(deps.get(field))):
            if isinstance(item, str) and not pattern.fullmatch(item):
                yield Problem((*at, field, index), f'"{item}" is not of the form {form}')
    for field in ("jars", "pyFiles", "files", "archives"):
        for index, item in enumerate(_list(deps.get(field))):
            if isinstance(item, str) and (not item.strip() or "," in item):
                yield Problem((*at, field, index), f'"{item}" is empty or holds a comma, which separates files')


def _conf(conf: dict[str, Any], at: Path, namespace: Any) -> Iterator[Problem]:
    for key, value in conf.items():
        if key in _REFUSED_CONF:
            yield Problem((*at, key), _REFUSED_CONF[key])
        elif _REFUSED_PREFIX.fullmatch(key):
            yield Problem((*at, key), "the operator refuses it: remove it")
        elif key == "spark.kubernetes.namespace" and namespace and value != namespace:
            yield Problem((*at, key), f"differs from metadata.namespace, {namespace}: remove it")
        elif not key.startswith("spark."):
            yield Problem((*at, key), "does not start with spark., so Spark would ignore it")
        elif key in ("spark.driver.memory", "spark.executor.memory"):
            yield from _memory(value, (*at, key), "driver" in key)


def _sizes(pod: dict[str, Any], at: Path, role: str) -> Iterator[Problem]:
    yield from _memory(pod.get("memory"), (*at, "memory"), role == "driver")
    yield from _memory(pod.get("memoryOverhead"), (*at, "memoryOverhead"), False)
    for field in ("coreRequest", "coreLimit", "memoryLimit"):
        value = pod.get(field)
        if isinstance(value, str) and not _QUANTITY.fullmatch(value):
            yield Problem((*at, field), f'"{value}" is no Kubernetes quantity, such as "500m" or "1Gi"')


def _memory(value: Any, path: Path, is_heap: bool) -> Iterator[Problem]:
    """A driver's memory becomes its JVM's -Xmx as it stands; an executor's is read by Spark, which takes more forms."""
    if not isinstance(value, str) or (_JVM_MEMORY if is_heap else _SPARK_MEMORY).fullmatch(value):
        return
    kubernetes = " (Mi and Gi are Kubernetes' units, not Spark's)" if value.endswith("i") else ""
    yield Problem(
        path, f'"{value}" is no memory size: write a whole number and k, m, g or t, such as "512m" or "2g"{kubernetes}'
    )


def _allocation(found: dict[str, Any], at: Path) -> Iterator[Problem]:
    least, most = found.get("minExecutors"), found.get("maxExecutors")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield Problem((*at, "minExecutors"), f"is {least}, more than maxExecutors, {most}")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
