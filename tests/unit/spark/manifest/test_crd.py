"""The schema that the package carries is what the tool makes of a CRD."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from bigdata.spark.manifest import crd

POD = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "properties": {"type": "string", "default": "x"},
        "name": {"type": "string"},
    },
}
SPEC: dict[str, Any] = {
    "type": "object",
    "description": "not needed",
    "required": ["one"],
    "properties": {
        "one": POD,
        "two": {"type": "array", "items": POD, "x-kubernetes-list-type": "atomic"},
        "template": {"type": "object", "properties": {"description": {"type": "string"}}},
        "map": {"type": "object", "additionalProperties": {"type": "integer", "format": "int32"}},
    },
}


def crd_of(spec: dict[str, Any]) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"properties": {"spec": spec, "status": {}}}}
    return {"spec": {"versions": [{"storage": False}, {"storage": True, "schema": schema}]}}


def test_what_occurs_twice_is_written_once_and_field_names_are_no_keywords() -> None:
    found = crd.compact(crd_of(SPEC), crd_of({"type": "object", "properties": {"template": SPEC}}), "somewhere")
    assert found["$comment"] == "somewhere"
    assert list(found["$defs"]) == ["one"]
    assert found["$defs"]["one"]["properties"] == {name: {"type": "string"} for name in ("type", "properties", "name")}
    application = found["SparkApplication"]["properties"]
    assert application["one"] == application["two"]["items"] == {"$ref": "#/$defs/one"}
    assert application["two"] == {"type": "array", "items": {"$ref": "#/$defs/one"}}
    assert application["template"]["properties"] == {"description": {"type": "string"}}
    assert application["map"]["additionalProperties"] == {"type": "integer", "format": "int32"}
    assert "description" not in found["SparkApplication"]
    assert "template" not in found["ScheduledSparkApplication"]["properties"]


def test_the_command_writes_json(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "crd.json"
    file.write_text(json.dumps(crd_of(SPEC)))
    crd.main([str(file), str(file)])
    assert json.loads(capsys.readouterr().out)["SparkApplication"]["required"] == ["one"]


def test_the_package_carries_a_whole_schema_with_its_origin() -> None:
    found = json.loads(files("bigdata.spark.manifest").joinpath("sparkapplication.schema.json").read_text())
    assert "Apache-2.0" in found["$comment"]
    assert set(found["SparkApplication"]["required"]) == {
        "driver",
        "executor",
        "mainApplicationFile",
        "sparkVersion",
        "type",
    }
    assert set(found["ScheduledSparkApplication"]["required"]) == {"schedule", "template"}
    references = set(json.dumps(found).split('"#/$defs/')[1:])
    assert references
    assert {reference.split('"')[0] for reference in references} == set(found["$defs"])
