"""Why a driver failed, read from the end of its log: the exception that a person would look for, and the lines around
it.

A Python job that fails on an executor prints three nested traces, the user's own exception in the innermost; a
failure inside the JVM shows as a Py4JJavaError whose last ``Caused by`` is the reason; a job that never started is
told by spark-submit or the JVM.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_LINES = 15
_LONGEST = 500
_TIME = r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d "
_NOISE = re.compile(_TIME + r"(TRACE|DEBUG|INFO|WARN) |^\s+at |^\s*$|^\s+\.\.\. \d+ more|^WARNING: Using incubator")
_SUBMIT = re.compile(_TIME + r"(?:ERROR|FATAL) (?:SparkSubmit|SparkContext|Client)[^:]*: (?P<what>.*)")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):$")
_ANY_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(:|$)")
_ONE_LINE = re.compile(r"^[A-Za-z_]\w*Error: ")
_SYNTAX = re.compile(r"^(Syntax|Indentation|Tab)Error: ")
_JAVA = re.compile(r'^(?:Exception in thread "[^"]*" |Caused by: |: |Error: )(?P<what>\S.*)')
_JVM = re.compile(
    r"^(Unrecognized (VM )?option|Invalid (maximum|initial) heap size|Too small maximum heap|Could not reserve)"
)


@dataclass(frozen=True)
class Failure:
    """What the log says.

    :param reason: one line.
    :param lines: those that show it, oldest first.
    """

    reason: str
    lines: tuple[str, ...]


def explain(lines: Sequence[str], code: int | None) -> Failure:
    """Find the reason.

    :param lines: the end of the driver's log.
    :param code: the exit code; above 128 it stands for a signal.
    """
    found = _python(lines) or _java(lines)
    if found is None:
        kept = [line for line in lines if not _NOISE.search(line)] or list(lines)
        found = Failure(_code_text(code), tuple(kept[-_MOST_LINES:]))
    elif code is not None and code > 128 and code - 128 != signal.SIGTERM:
        found = Failure(f"{_code_text(code)}; before that: {found.reason}", found.lines)
    return Failure(found.reason[:_LONGEST], tuple(line[:_LONGEST] for line in found.lines))


def _python(lines: Sequence[str]) -> Failure | None:
    starts = [index for index, line in enumerate(lines) if _TRACEBACK.search(line)]
    if not starts:
        # A syntax error comes without the heading, and so does what a job says itself in one line.
        ends = [index for index, line in enumerate(lines) if _ONE_LINE.match(line)]
        if not ends:
            return None
        before = 3 if _SYNTAX.match(lines[ends[-1]]) else 0
        return Failure(lines[ends[-1]], tuple(lines[max(0, ends[-1] - before) : ends[-1] + 1]))
    start = starts[-1]
    end = next(
        (
            i
            for i in range(start + 1, len(lines))
            if not lines[i].startswith((" ", "\t")) and _ANY_EXCEPTION.match(lines[i])
        ),
        None,
    )
    if end is None:
        return None
    shown = lines[max(start, end - _MOST_LINES + 1) : end + 1]
    reason = lines[end]
    if reason.startswith("py4j.protocol.Py4J") and (java := _java(lines[end:])):
        return Failure(java.reason, (*shown, *java.lines)[-_MOST_LINES:])
    return Failure(reason, tuple(shown))


def _java(lines: Sequence[str]) -> Failure | None:
    if told := [line for line in lines if _JVM.match(line)]:
        return Failure(told[0], tuple(told))
    found = [(line, match["what"]) for line in lines if (match := _JAVA.match(line) or _SUBMIT.match(line))]
    if not found:
        return None
    causes = [what for line, what in found if line.startswith("Caused by: ")]
    reason = causes[-1] if causes else found[0][1]
    return Failure(reason, tuple(dict.fromkeys(line for line, _ in found))[-_MOST_LINES:])


def _code_text(code: int | None) -> str:
    if code is None:
        return "ended without an exit code"
    if code <= 128:
        return f"the driver ended with exit code {code}"
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"the driver ended with exit code {code}"
    memory = ", mostly a sign of too little memory" if name == "SIGKILL" else ""
    return f"the driver was ended by {name}{memory}"
