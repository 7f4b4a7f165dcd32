"""Finds a Java that can run Spark, Kafka and the S3 service, or says what is wrong with those that are there."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bigdata.errors import StackError

OLDEST = 17
NEWEST_TRIED = 21
HINT = "Install Java 17 or 21 (a full JDK or JRE) and set JAVA_HOME to it"

_MODULE = "jdk.incubator.vector"
_MACOS_JAVA_HOME = Path("/usr/libexec/java_home")
_TIMEOUT_SECONDS = 30

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Java:
    """A Java runtime that fits.

    :param version: the feature release, such as 17.
    """

    executable: Path
    home: Path
    version: int


class _Unfit(Exception):
    """A candidate that cannot be used; the text says why."""


def find_java(environ: Mapping[str, str] | None = None) -> Java:
    """The first Java that fits, of JAVA_HOME, PATH and macOS's java_home.

    :param environ: where JAVA_HOME and PATH are looked up; default: the environment of this process.
    :raises StackError: naming every Java found, its version, and why it cannot be used.
    """
    environ = os.environ if environ is None else environ
    rejected: list[str] = []
    seen: set[Path] = set()
    for origin, executable in _candidates(environ):
        if executable in seen:
            continue
        seen.add(executable)
        try:
            java = _examine(executable, environ)
        except _Unfit as error:
            rejected.append(f"{executable} (from {origin}) {error}")
            continue
        for reason in rejected:
            log.warning("java: passed over %s; using %s", reason, java.executable)
        if java.version > NEWEST_TRIED:
            log.warning("java: %s is version %d; tried are %d to %d", executable, java.version, OLDEST, NEWEST_TRIED)
        return java
    problem = "; ".join(rejected) if rejected else "no Java found: JAVA_HOME is not set and PATH has no java"
    raise StackError("java", problem, HINT)


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if home := environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    if found := shutil.which("java", path=environ.get("PATH", "")):
        yield "PATH", Path(found)
    if _MACOS_JAVA_HOME.exists():
        with suppress(_Unfit):
            done = _run([str(_MACOS_JAVA_HOME), "-v", f"{OLDEST}+"], environ)
            if done.returncode == 0:
                yield str(_MACOS_JAVA_HOME), Path(done.stdout.strip()) / "bin" / "java"


def _examine(executable: Path, environ: Mapping[str, str]) -> Java:
    settings = ["-XshowSettings:properties", "-version"]
    # One JVM start answers both questions when all is well: the version, and whether the module is there.
    done = _run([str(executable), "--add-modules", _MODULE, *settings], environ)
    has_module = done.returncode == 0
    if not has_module:
        done = _run([str(executable), *settings], environ)
    output = done.stdout + done.stderr
    version = _version(output)
    if version is None:
        # macOS has a /usr/bin/java that is no Java: it only tells where to get one.
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        words = lines[0] if lines else "nothing"
        raise _Unfit(f"is no working Java: it exits with code {done.returncode} and says: {words}")
    text, feature = version
    if feature < OLDEST:
        raise _Unfit(f"is version {text}, and {OLDEST} is the oldest that works")
    if not has_module:
        raise _Unfit(f"is version {text} but lacks the module {_MODULE}, which Spark needs (a trimmed runtime)")
    said = re.search(r"^\s*java\.home = (.+)$", output, re.MULTILINE)
    home = Path(said[1].strip()) if said else executable.resolve().parent.parent
    # What PATH has may be a shim that starts the real one as a child; signals must reach the real one.
    direct = home / "bin" / "java"
    return Java(direct if direct.exists() else executable, home, feature)


def _version(output: str) -> tuple[str, int] | None:
    found = re.search(r"^\s*java\.version = (\S+)", output, re.MULTILINE) or re.search(r' version "([^"]+)"', output)
    if not found:
        return None
    parts = re.findall(r"\d+", found[1])
    if not parts:
        return None
    # Up to Java 8 the feature release comes second: 1.8.0_392.
    feature = int(parts[1]) if parts[0] == "1" and len(parts) > 1 else int(parts[0])
    return found[1], feature


def _run(command: list[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            env=dict(environ),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _Unfit(f"did not answer within {_TIMEOUT_SECONDS} s") from None
    except OSError as error:
        raise _Unfit(f"cannot be run: {error.strerror}") from None
