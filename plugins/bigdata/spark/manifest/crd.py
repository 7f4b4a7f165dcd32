"""Turns the CRDs of a Spark operator into ``sparkapplication.schema.json``, against which
:mod:`bigdata.spark.manifest.schema` checks manifests.

Run it when the operator's version changes::

    kubectl get crd sparkapplications.sparkoperator.k8s.io -o json > application.json
    kubectl get crd scheduledsparkapplications.sparkoperator.k8s.io -o json > scheduled.json
    cd plugins/bigdata/spark/manifest
    python -m bigdata.spark.manifest.crd application.json scheduled.json > sparkapplication.schema.json

What the API server does with a value but does not check (list types, defaults) is left out, and so is the status,
which a manifest may carry and the API server drops. A part that occurs more than once is written once, under
``$defs``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NOT_CHECKED = (
    "default",
    "description",
    "nullable",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-int-or-string",
)
_WORTH_SHARING = 80
_ORIGIN = (
    "From the CRDs of the Kubeflow Spark operator (github.com/kubeflow/spark-operator, Apache-2.0) "
    "by bigdata.spark.manifest.crd"
)


def compact(application: dict[str, Any], scheduled: dict[str, Any], origin: str) -> dict[str, Any]:
    """The checkable parts of both CRDs, each repeated part once.

    :param origin: where the CRDs are from, kept as a comment in the result.
    """
    parts = {"SparkApplication": _spec(application), "ScheduledSparkApplication": _spec(scheduled)}
    del parts["ScheduledSparkApplication"]["properties"]["template"]
    counts: Counter[str] = Counter()
    for part in parts.values():
        _count(part, counts)
    defs: dict[str, Any] = {}
    names: dict[str, str] = {}
    shared = {key: _share(part, counts, names, defs) for key, part in parts.items()}
    return {"$comment": origin, "$defs": defs, **shared}


def _spec(crd: dict[str, Any]) -> dict[str, Any]:
    versions = [item for item in crd["spec"]["versions"] if item["storage"]]
    found: dict[str, Any] = _strip(versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
    return found


def _strip(schema: Any, names: bool = False) -> Any:
    """Leave out what is not checked.

    :param names: the keys are field names, and no keywords.
    """
    if isinstance(schema, list):
        return [_strip(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {k: _strip(v, k == "properties" and not names) for k, v in schema.items() if names or k not in _NOT_CHECKED}


def _key(schema: dict[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True)


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The schemas right inside one: the keyword, the field's name (empty for items and values), the schema."""
    for name, inner in schema.get("properties", {}).items():
        yield "properties", name, inner
    for keyword in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(keyword), dict):
            yield keyword, "", inner


def _count(schema: dict[str, Any], counts: Counter[str]) -> None:
    counts[_key(schema)] += 1
    for _, _, inner in _parts(schema):
        _count(inner, counts)


def _share(
    schema: dict[str, Any], counts: Counter[str], names: dict[str, str], defs: dict[str, Any], hint: str = ""
) -> dict[str, Any]:
    """The schema with what occurs more than once put into ``defs``, named after the field that has it."""
    key = _key(schema)
    if key in names:
        return {"$ref": f"#/$defs/{names[key]}"}
    found = dict(schema)
    for keyword, name, inner in _parts(schema):
        shared = _share(inner, counts, names, defs, name or hint)
        found[keyword] = {**found[keyword], name: shared} if name else shared
    if counts[key] < 2 or len(key) < _WORTH_SHARING:
        return found
    number = sum(1 for name in defs if name.rstrip("0123456789") == hint) + 1
    names[key] = hint if number == 1 else f"{hint}{number}"
    defs[names[key]] = found
    return {"$ref": f"#/$defs/{names[key]}"}


def main(argv: list[str]) -> None:
    """Write the schema to standard output; arguments: the two CRDs' files."""
    application, scheduled = (json.loads(Path(name).read_text()) for name in argv)
    json.dump(compact(application, scheduled, _ORIGIN), sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
