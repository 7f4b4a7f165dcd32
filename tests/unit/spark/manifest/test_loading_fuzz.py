"""Every field that the CRD knows, each in turn of a wrong type, misspelt, empty, and left out; and random damage to
the text.

Whatever is done to a manifest, the answer is an application or a ManifestError that names the field, and never
another exception.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bigdata.errors import ManifestError
from bigdata.spark.manifest import schema
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load
from bigdata.spark.manifest.problems import dotted

PI = Path(__file__).parents[4] / "spark_jobs" / "spark_pi.yaml"
BASE = load(PI).to_dict()
DATA = schema._data()

# Values for fields that have rules of their own.
SPECIAL: dict[str, Any] = {
    "memory": "1g",
    "memoryOverhead": "1g",
    "coreRequest": "1",
    "coreLimit": "1",
    "memoryLimit": "1Gi",
    "memoryOverheadFactor": "0.1",
    "mainApplicationFile": "local:///a.py",
    "packages": "g:a:1",
    "excludePackages": "g:a",
}
WRONG: dict[str, list[Any]] = {
    "string": [5, True, 1.5, ["x"], {"a": "b"}],
    "integer": ["two", "2", 1.5, True, [], {}],
    "boolean": ["true", 1, [], {}],
    "array": ["x", 1, {}, True],
    "object": ["x", 1, [], True],
    "int-or-string": [1.5, [], {}, True],
}


@dataclass(frozen=True)
class Field:
    """A field that the schema knows: where, what, and a document that has a value of one's choice there."""

    path: tuple[str | int, ...]
    schema: dict[str, Any]
    required: bool
    document: Callable[[Any], dict[str, Any]]

    @property
    def type(self) -> str:
        return str(self.schema.get("type", "int-or-string"))

    @property
    def valid(self) -> Any:
        return sample(self.schema, self.path)


def resolved(found: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in found:
        found = DATA["$defs"][found["$ref"].removeprefix("#/$defs/")]
    return found


def sample(found: dict[str, Any], path: tuple[str | int, ...]) -> Any:
    found = resolved(found)
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    if path == ("spec", "type"):
        return "Python"
    match found.get("type"):
        case "object":
            properties = found.get("properties", {})
            return {name: sample(properties[name], (*path, name)) for name in found.get("required", [])}
        case "array":
            return []
        case "string":
            return SPECIAL.get(key) or found.get("enum", ["x"])[0]
        case "integer":
            return found.get("minimum", 1)
        case "boolean":
            return True
    return "1"


def walk(
    found: dict[str, Any], path: tuple[str | int, ...], place: Callable[[Any], dict[str, Any]], seen: set[str]
) -> Iterator[Field]:
    if "$ref" in found:
        # A shared part is the same wherever it occurs: once is enough.
        if found["$ref"] in seen:
            return
        seen.add(found["$ref"])
        found = resolved(found)
    siblings = sample(found, path)
    for name, inner in found.get("properties", {}).items():
        if path == ("spec",):
            siblings = BASE["spec"]

        def at(value: Any, name: str = name, siblings: Any = siblings) -> dict[str, Any]:
            return place({**siblings, name: value})

        yield Field((*path, name), resolved(inner), name in found.get("required", []), at)
        yield from walk(inner, (*path, name), at, seen)
    if items := found.get("items"):
        yield from inside(items, (*path, 0), lambda value: place([value]), seen)
    if isinstance(values := found.get("additionalProperties"), dict):
        key = "spark.x" if path[-1] == "sparkConf" else "key"
        yield from inside(values, (*path, key), lambda value: place({key: value}), seen)


def inside(
    found: dict[str, Any], path: tuple[str | int, ...], place: Callable[[Any], dict[str, Any]], seen: set[str]
) -> Iterator[Field]:
    yield Field(path, resolved(found), True, place)
    yield from walk(found, path, place, seen)


FIELDS = list(walk(DATA["SparkApplication"], ("spec",), lambda spec: {**BASE, "spec": spec}, set()))


def error_of(document: Any) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load(document)
    return caught.value


def test_the_walk_has_reached_the_whole_schema() -> None:
    assert len(FIELDS) > 500
    assert {field.path[1] for field in FIELDS} == set(DATA["SparkApplication"]["properties"])
    # secretKeyRef has the same schema as configMapKeyRef, which comes first.
    assert ("spec", "driver", "env", 0, "valueFrom", "configMapKeyRef", "key") in {field.path for field in FIELDS}


def test_a_valid_value_loads() -> None:
    for field in FIELDS:
        document = field.document(field.valid)
        assert load(document).to_dict() == document, dotted(field.path)


def test_a_wrong_type_is_named() -> None:
    for field in FIELDS:
        for value in WRONG[field.type]:
            error = error_of(field.document(value))
            assert error.field == dotted(field.path), (field.path, value)
            assert "must be" in error.problem, (field.path, value)


def test_a_misspelt_field_is_named_and_the_right_one_suggested() -> None:
    for field in FIELDS:
        name = field.path[-1]
        if isinstance(name, int) or name in ("key", "spark.x"):
            continue
        parent = field.document(field.valid)
        inner: Any = parent
        for part in field.path[:-1]:
            inner = inner[part]
        wrong = {key if key != name else f"{name}x": value for key, value in inner.items()}
        document = rebuilt(parent, field.path[:-1], wrong)
        error = error_of(document)
        misspelt = dotted((*field.path[:-1], f"{name}x"))
        assert misspelt in str(error)
        assert error.field in (misspelt, dotted(field.path))


def test_a_field_left_out_is_missing_or_not_needed() -> None:
    for field in FIELDS:
        name = field.path[-1]
        if isinstance(name, int) or name in ("key", "spark.x"):
            continue
        document = field.document(field.valid)
        inner: Any = document
        for part in field.path[:-1]:
            inner = inner[part]
        without = rebuilt(document, field.path[:-1], {key: value for key, value in inner.items() if key != name})
        if field.required:
            error = error_of(without)
            assert (error.field, error.problem) == (dotted(field.path), "is missing")
        else:
            assert isinstance(load(without), Application)


def test_an_empty_field_counts_as_left_out() -> None:
    for field in FIELDS:
        document = field.document(None)
        if field.required:
            assert error_of(document).field == dotted(field.path)
        else:
            assert isinstance(load(document), Application), field.path


def test_random_damage_to_the_text_never_gives_another_exception() -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    text = PI.read_text()
    pieces = [
        "{{ x }}",
        "\t",
        ":",
        "- ",
        "\n",
        "'",
        '"',
        "&a ",
        "*a",
        "!!int ",
        "{",
        "[",
        "]",
        "}",
        "#",
        "|",
        ">",
        "null",
        "\0",
        "é",
        "%",
    ]
    outcomes = {Application: 0, ManifestError: 0}
    for round_ in range(400):
        damaged = list(text)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(damaged))
            end = at + chance.randint(0, 12)
            damaged[at:end] = chance.choice([[], [chance.choice(pieces)], [chr(chance.randrange(1, 0x2FF))]])
        try:
            outcomes[type(load("".join(damaged) + "\n"))] += 1
        except ManifestError:
            outcomes[ManifestError] += 1
        except Exception as other:
            pytest.fail(f"seed {seed}, round {round_}: {other!r} from\n{''.join(damaged)}")
    assert min(outcomes.values()) > 10, outcomes


def test_random_values_anywhere_never_give_another_exception() -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    values: list[Any] = [
        None,
        True,
        0,
        -1,
        2**70,
        1.5,
        float("inf"),
        "",
        "x",
        "{{ y }}",
        "\0",
        [],
        {},
        [None],
        {"a": None},
        {1: 2},
        b"x",
        (1,),
        {1},
    ]
    for _ in range(3000):
        field = chance.choice(FIELDS)
        other = chance.choice(FIELDS)
        document = rebuilt(
            field.document(chance.choice(values)), other.path[: chance.randint(0, 3)], chance.choice(values)
        )
        with suppress(ManifestError):
            try:
                load(document)
            except ManifestError:
                raise
            except Exception as other:
                pytest.fail(f"seed {seed}: {other!r} from {document}")


def rebuilt(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The document with another value at a path, if it has the path."""
    if not path:
        return value
    first, *rest = path
    if isinstance(document, dict) and first in document:
        return {**document, first: rebuilt(document[first], tuple(rest), value)}
    if isinstance(document, list) and isinstance(first, int) and first < len(document):
        return [rebuilt(item, tuple(rest), value) if index == first else item for index, item in enumerate(document)]
    return document
