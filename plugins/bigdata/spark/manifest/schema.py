"""A manifest against the schema of the operator's CRD, with the mistakes in plain words.

The schema, ``sparkapplication.schema.json``, is that of the Kubeflow Spark operator 2.5.2
(https://github.com/kubeflow/spark-operator, Apache-2.0), as :mod:`bigdata.spark.manifest.crd` makes it. The API server
drops fields that it does not know; here they are errors, as a misspelt field that does nothing is the mistake that
costs most.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bigdata.spark.manifest.problems import Path, Problem

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

KINDS = ("SparkApplication", "ScheduledSparkApplication")

_TEXT: dict[str, Any] = {"type": "string"}
_INTEGER: dict[str, Any] = {"type": "integer"}
_BOOLEAN: dict[str, Any] = {"type": "boolean"}
_MAP: dict[str, Any] = {"type": "object", "additionalProperties": _TEXT}
_OWNER = {
    "type": "object",
    "required": ["apiVersion", "kind", "name", "uid"],
    "properties": {
        **dict.fromkeys(("apiVersion", "kind", "name", "uid"), _TEXT),
        **dict.fromkeys(("controller", "blockOwnerDeletion"), _BOOLEAN),
    },
}
# What the API server fills in: found in a manifest that was read back from a cluster.
SERVER_FIELDS = {
    **dict.fromkeys(("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "selfLink"), _TEXT),
    **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), _INTEGER),
    "managedFields": {"type": "array"},
}
_METADATA = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "generateName", "namespace"), _TEXT),
        **dict.fromkeys(("labels", "annotations"), _MAP),
        "finalizers": {"type": "array", "items": _TEXT},
        "ownerReferences": {"type": "array", "items": _OWNER},
        **SERVER_FIELDS,
    },
}
_NAMES = {
    "string": "a string",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
_SECRET = re.compile(r"secret|password|passwd|token|credential|access.?key", re.IGNORECASE)
_LONGEST_SHOWN = 60
_INT_LIMITS = {"int32": 2**31, "int64": 2**63}


def check(document: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Check a document whose kind is one of :data:`KINDS`.

    :returns: the document without its empty fields, as the API server would store it, and the problems found.
    """
    validator = _validator(document["kind"])
    errors = list(validator.iter_errors(document))
    empty = [error.absolute_path for error in errors if _is_empty_field(error)]
    if empty:
        document = copy.deepcopy(document)
        for path in empty:
            *parents, key = path
            at: Any = document
            for part in parents:
                at = at[part]
            del at[key]
        errors = list(validator.iter_errors(document))
    return document, [problem for error in errors for problem in _problems(error)]


@cache
def _data() -> dict[str, Any]:
    text = files("bigdata.spark.manifest").joinpath("sparkapplication.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = _strict(json.loads(text))
    return found


@cache
def fields(*path: str) -> frozenset[str]:
    """The fields that a mapping of a SparkApplication's spec may have; ``path`` such as ``driver``."""
    at = _data()["SparkApplication"]
    for part in path:
        at = at["properties"][part]
    return frozenset(at["properties"])


@cache
def _validator(kind: str) -> Validator:
    from jsonschema import Draft202012Validator, FormatChecker, TypeChecker
    from jsonschema.validators import extend

    data = _data()
    spec: dict[str, Any] = {"$ref": "#/SparkApplication"}
    if kind != KINDS[0]:
        spec = data[kind] | {"properties": data[kind]["properties"] | {"template": spec}}
    types: TypeChecker = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    formats = FormatChecker(formats=())
    for name, limit in _INT_LIMITS.items():
        formats.checks(name)(lambda value, limit=limit: type(value) is not int or -limit <= value < limit)
    root = {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {"apiVersion": _TEXT, "kind": _TEXT, "metadata": _strict(_METADATA), "spec": spec, "status": {}},
        "additionalProperties": False,
    }
    validator: Validator = extend(Draft202012Validator, type_checker=types)(data | root, format_checker=formats)
    return validator


def _strict(schema: Any) -> Any:
    """Forbid unknown fields wherever the fields are listed; a mapping without a list may hold anything."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def _is_empty_field(error: ValidationError) -> bool:
    """Whether a field has no value; the API server takes it as absent, other than in a list or a free mapping."""
    if error.instance is not None or error.validator not in ("type", "anyOf"):
        return False
    above = [part for part in error.absolute_schema_path if part != "$ref"]
    return len(above) > 2 and above[-3] == "properties"


def _problems(error: ValidationError) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    schema: Any = error.schema
    instance: Any = error.instance
    match error.validator:
        case "required":
            # jsonschema gives one error for each missing field, and its name in the message only.
            missing = error.message.split("'")[1]
            yield Problem((*path, missing), "is missing")
        case "additionalProperties":
            for key in instance.keys() - schema["properties"].keys():
                yield Problem(
                    (*path, key), f"is no field of {path[-1] if path else 'a manifest'}{_hint(key, path, schema)}"
                )
        case "type" | "anyOf":
            yield Problem(path, _wrong_type(schema.get("type", "int-or-string"), error.instance, path))
        case "enum":
            yield Problem(path, f"must be one of {', '.join(schema['enum'])}; found {_shown(error.instance, path)}")
        case "minimum" | "maximum":
            least = error.validator == "minimum"
            yield Problem(
                path, f"must be at {'least' if least else 'most'} {error.validator_value}, found {error.instance}"
            )
        case "pattern":
            yield Problem(path, f'{_shown(error.instance, path)} is no Kubernetes quantity, such as "500m" or "1Gi"')
        case _:
            yield Problem(path, f"{_shown(error.instance, path)} is out of range")


def _hint(key: str, path: Path, schema: dict[str, Any]) -> str:
    known = {name.lower(): name for name in schema["properties"]}
    if close := difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.7):
        return f"; did you mean {known[close[0]]}?"
    inside = path and path[0] == "spec"
    for place in ((), ("driver",), ("executor",), ("deps",)) if inside else ((),):
        if key in fields(*place):
            return f"; it belongs to {'.'.join(('spec', *place))}"
    return f"; its fields are {', '.join(sorted(known.values()))}" if len(known) <= 12 else ""


def _wrong_type(expected: str, value: Any, path: Path) -> str:
    wanted = _NAMES.get(expected, "a whole number or a string")
    if value is None:
        return f"has no value: {wanted} was expected" + (', write "" for an empty one' if expected == "string" else "")
    if expected == "string" and isinstance(value, (bool, int, float)):
        if _is_secret(path):
            return "must be a string: quote it"
        return f'must be a string, found {_shown(value, path)}: quote it, "{_shown(value, path)}"'
    unquote = ""
    if isinstance(value, str) and (
        (expected == "integer" and value.isdigit()) or (expected == "boolean" and value in ("true", "false"))
    ):
        unquote = ": remove the quotes"
    return f"must be {wanted}, found {_shown(value, path)}{unquote}"


def _is_secret(path: Path) -> bool:
    """Whether the value at a path may be a secret that somebody should not have put there."""
    parts = [str(part) for part in path]
    return any(part in ("env", "envVars") for part in parts) or bool(parts and _SECRET.search(parts[-1]))


def _shown(value: Any, path: Path) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if _is_secret(path):
        return "something else"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
