"""What is wrong with a manifest: where, and in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bigdata.errors import ManifestError

Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Problem:
    """One mistake."""

    path: Path
    text: str


def dotted(path: Path) -> str:
    """A path as people write it: ``spec.driver.env[0].name``; a key that holds dots is quoted."""
    parts = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif _PLAIN_KEY.fullmatch(part):
            parts.append(f".{part}")
        else:
            parts.append(f'["{part}"]')
    return "".join(parts).removeprefix(".")


def error(source: str, problems: Iterable[Problem], lines: Mapping[Path, int]) -> ManifestError:
    """All problems as one error; its field is the first one's, and the others are listed below it."""
    first, *others = _in_order(problems, lines)
    text = _text(first, lines)
    if others:
        text += f"\n  and {len(others)} more:"
        text += "".join(f"\n  {dotted(item.path)}: {_text(item, lines)}" for item in others)
    return ManifestError(source, dotted(first.path), text)


def _in_order(problems: Iterable[Problem], lines: Mapping[Path, int]) -> list[Problem]:
    """As the file has them; one problem a path, the first found, as a second is mostly a consequence."""
    found: dict[Path, Problem] = {}
    for problem in problems:
        found.setdefault(problem.path, problem)
    return sorted(found.values(), key=lambda item: _line(item.path, lines))


def _line(path: Path, lines: Mapping[Path, int]) -> int:
    """A field that is missing counts as where the mapping that should have it begins."""
    return next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), 0)


def _text(problem: Problem, lines: Mapping[Path, int]) -> str:
    line = lines.get(problem.path)
    return f"{problem.text} (line {line})" if line and "line" not in problem.text else problem.text
