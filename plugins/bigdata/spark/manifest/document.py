"""YAML or JSON text as plain data, with the line of each field, and with every mistake that YAML itself forgives named.

Read as Kubernetes reads it: a timestamp is a string, ``12:30`` is no number, a key given twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from bigdata.errors import ManifestError
from bigdata.spark.manifest.problems import Path, Problem

_MOST_NODES = 100_000
_JINJA = re.compile(r"\{\{|\{%")


@dataclass(frozen=True)
class Document:
    """One parsed document.

    :param lines: the line, from 1, on which the value of each path begins; empty for data that never was text.
    """

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it."""


_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"),
    "tag:yaml.org,2002:float": re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9]+|\.inf)$|\.nan$"),
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, _NUMBERS.get(tag, pattern)) for tag, pattern in found if not tag.endswith(":timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, source: str) -> Document:
    """Parse one YAML or JSON document.

    :param source: for messages: the file's name.
    :raises ManifestError: the text is empty, not YAML, or more than one document. A key given twice is a problem of
        the result.
    """
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")  # JSON may be indented by tabs, YAML may not; inside its strings JSON has none
    try:
        nodes = [node for node in yaml.compose_all(text, _Loader) if not _is_null(node)]
        if not nodes:
            raise ManifestError(source, "", "is empty: a SparkApplication was expected")
        if len(nodes) > 1:
            line = nodes[1].start_mark.line + 1
            raise ManifestError(
                source, "", f"holds {len(nodes)} documents, the second at line {line}: give each a file of its own"
            )
        lines: dict[Path, int] = {}
        problems = list(_look(nodes[0], (), lines, []))
        return Document(_Loader("").construct_document(nodes[0]), lines, problems)
    except yaml.YAMLError as error:
        raise ManifestError(source, "", _yaml_problem(error, text)) from None
    except RecursionError:
        raise ManifestError(source, "", "is nested too deeply") from None
    except (ValueError, OverflowError, AttributeError) as error:
        # PyYAML lets these out for a value that contradicts its own tag, such as !!int x.
        raise ManifestError(source, "", f"is no valid YAML: {error}") from None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _look(node: yaml.Node, path: Path, lines: dict[Path, int], ancestors: list[yaml.Node]) -> Iterator[Problem]:
    """Note the lines; find keys given twice, and aliases that would make the document endless."""
    if node in ancestors:
        raise yaml.constructor.ConstructorError(None, None, "an alias refers to what it is part of", node.start_mark)
    if len(lines) > _MOST_NODES:
        raise yaml.constructor.ConstructorError(None, None, f"has more than {_MOST_NODES} values", node.start_mark)
    lines[path] = node.start_mark.line + 1
    below = [*ancestors, node]
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _look(item, (*path, index), lines, below)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            line = key.start_mark.line + 1
            if name and name != "<<" and name in seen:
                yield Problem((*path, name), f"is given twice, at lines {seen[name]} and {line}: remove one")
            seen[name] = line
            yield from _look(value, (*path, name), lines, below)


def _yaml_problem(error: yaml.YAMLError, text: str) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    if mark is None:
        return f"is no valid YAML: {what}"
    lines = text.splitlines()
    shown = lines[mark.line].strip() if mark.line < len(lines) else ""
    if _JINJA.search(shown):
        return f"line {mark.line + 1}: holds Jinja that was not rendered: {shown}"
    return f"line {mark.line + 1}, column {mark.column + 1}: is no valid YAML: {what}"
