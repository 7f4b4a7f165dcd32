"""Loads a SparkApplication, the one contract between a laptop and a cluster, and says what is wrong with it: file,
field, problem.

All mistakes of a file are found at once and come as one error. A ScheduledSparkApplication is accepted too: the
operator runs it by its schedule, the other runtimes run its template once.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from bigdata.errors import ManifestError
from bigdata.spark.manifest import problems, rules, schema, wrapped
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.document import Document, parse
from bigdata.spark.manifest.problems import Path, Problem

API_VERSION = "sparkoperator.k8s.io/v1beta2"

# Spark has placeholders of its own, such as {{APP_ID}}; they are all capitals.
_JINJA = re.compile(r"\{\{(?![A-Z_]+\}\})|\{%")
_FILE_SUFFIXES = (".yaml", ".yml", ".json")


def load(
    manifest: str | FilePath | Mapping[str, Any],
    source: str = "",
    default_name: str = "",
    spec: Mapping[str, Any] | None = None,
) -> Application:
    """Load and check a SparkApplication.

    :param manifest: YAML or JSON text, a file (a Path, or a string that ends in .yaml, .yml or .json or names a file
        that exists), or the document itself; also in the provider's wrapped form
        ``{"spark": ..., "kubernetes": ...}``.
    :param source: what messages call it; default: the file's path, or ``<inline>``.
    :param default_name: the name of an application that gives itself none.
    :param spec: fields of the spec that replace the manifest's, or give what it leaves out.
    :raises ManifestError: with every mistake found; its ``field`` is the first one's.
    """
    file = _file(manifest)
    source = source or (str(file) if file else "<inline>")
    found = _read(file or manifest, source)
    data, lines = found.data, found.lines
    unwrapped = wrapped.Unwrapped(data)
    if wrapped.is_wrapped(data):
        unwrapped = wrapped.unwrap(data, source)
        data = unwrapped.application
        lines = {path[1:]: line for path, line in lines.items() if path[:1] == ("spark",)}
    if isinstance(data, dict):
        unwrapped = replace(unwrapped, dropped=(*unwrapped.dropped, *wrapped.sizes(data, source)))
        _name(data, default_name)
        _override(data, spec or {})
    return Application(source, check(data, source, lines, found.problems), unwrapped.cluster, unwrapped.dropped)


def check(
    data: Any, source: str, lines: Mapping[Path, int] | None = None, known: list[Problem] | None = None
) -> dict[str, Any]:
    """Check a document.

    :param lines: the line of each path.
    :param known: problems found before.
    :returns: the document without empty fields and without what the API server fills in.
    :raises ManifestError: with every mistake found.
    """
    lines = lines or {}
    _check_kind(data, source)
    found = list(known or [])
    data = _plain(data, (), found)
    data, broken = schema.check(data)
    found += [*broken, *rules.check(data)]
    if found:
        raise problems.error(source, found, lines)
    return _without_server_fields(data)


def _file(manifest: Any) -> FilePath | None:
    if isinstance(manifest, FilePath):
        return manifest
    if not isinstance(manifest, str) or "\n" in manifest.strip():
        return None
    file = FilePath(manifest.strip())
    return file if file.name.endswith(_FILE_SUFFIXES) or _exists(file) else None


def _exists(file: FilePath) -> bool:
    try:
        return file.is_file()
    except OSError:  # a text that is too long for a name
        return False


def _read(manifest: str | FilePath | Mapping[str, Any], source: str) -> Document:
    if isinstance(manifest, FilePath):
        try:
            return parse(manifest.read_text(encoding="utf-8-sig"), source)
        except UnicodeDecodeError as error:
            raise ManifestError(source, "", f"is not UTF-8: {error.reason} at byte {error.start}") from None
        except OSError as error:
            raise ManifestError(source, "", f"cannot be read: {error.strerror}") from None
    if isinstance(manifest, str):
        return parse(manifest, source)
    try:
        return Document(wrapped.plain(manifest))
    except (ValueError, RecursionError) as error:
        raise ManifestError(source, "", f"is nested without end: {error}") from None


def _check_kind(data: Any, source: str) -> None:
    """All else depends on it, so that it is the only mistake named."""
    if not isinstance(data, dict):
        raise ManifestError(
            source, "", f"must be a mapping with apiVersion, kind, metadata and spec; found {_name_of(data)}"
        )
    for field, known in (("apiVersion", (API_VERSION,)), ("kind", schema.KINDS)):
        value = data.get(field)
        if value is None:
            raise ManifestError(source, field, f"is missing: must be {' or '.join(known)}")
        if value not in known:
            raise ManifestError(source, field, f"must be {' or '.join(known)}; found {json.dumps(value, default=str)}")


def _name_of(data: Any) -> str:
    return "a list" if isinstance(data, list) else f"{json.dumps(data, ensure_ascii=False, default=str)[:60]}"


def _plain(data: Any, path: Path, found: list[Problem]) -> Any:
    """The data as JSON has it; what JSON, a process or Jinja would not take is added to ``found``."""
    if isinstance(data, dict):
        return {_key(key, path, found): _plain(value, (*path, str(key)), found) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(item, (*path, index), found) for index, item in enumerate(data)]
    if isinstance(data, float) and not math.isfinite(data):
        found.append(Problem(path, "is no number that JSON has"))
        return 0
    if isinstance(data, str):
        if "\0" in data:
            found.append(Problem(path, "holds a null character"))
        elif _JINJA.search(data):
            found.append(Problem(path, f"holds Jinja that was not rendered: {data[:60]}"))
    return data


def _key(key: Any, path: Path, found: list[Problem]) -> str:
    if not isinstance(key, str):
        found.append(
            Problem((*path, str(key)), f"is a key that YAML takes for {json.dumps(key, default=str)}: quote it")
        )
    elif "\0" in key or _JINJA.search(key):
        found.append(Problem((*path, key), "is no key: it holds a null character, or Jinja that was not rendered"))
    return str(key)


def _name(data: dict[str, Any], name: str) -> None:
    if not name:
        return
    metadata = data.setdefault("metadata", {})
    if metadata is None:
        metadata = data["metadata"] = {}
    if isinstance(metadata, dict) and not metadata.get("name"):
        metadata["name"] = name


def _override(data: dict[str, Any], fields: Mapping[str, Any]) -> None:
    spec = data.get("spec")
    if isinstance(spec, dict) and data.get("kind") != schema.KINDS[0]:
        spec = spec.get("template")
    if isinstance(spec, dict):
        spec |= fields


def _without_server_fields(data: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in data["metadata"].items() if key not in schema.SERVER_FIELDS}
    return {key: value for key, value in data.items() if key != "status"} | {"metadata": metadata}
