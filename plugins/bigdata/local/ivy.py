"""Maven packages, resolved by the Ivy that pyspark carries, so that nothing but Java is needed.

Delivery contract: a set of jars is gathered in a temporary folder and renamed into place with its stamp, so that it
is there whole or not at all. A crash before the rename leaves Ivy's own cache, from which the next call goes on;
after it, calls with the same packages, excludes and pyspark need neither network nor Java. A lock makes processes
take turns; the Ivy process inherits it, so that one whose parent was killed still keeps others out until it ends.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from xml.sax.saxutils import quoteattr

from bigdata.errors import ConfigError, StackError
from bigdata.local.java import find_java
from bigdata.local.lock import hold

_NO_PYSPARK = "pyspark is not installed in this Python: pip install 'airflow-bigdata[local]'"
_STAMP = "stamp.json"
_LOCK_SECONDS = 1800
_PROGRESS_SECONDS = 5.0
# Ivy has no time limits of its own; a silent server would hold it for ever.
_JVM_OPTIONS = ("-Xmx256m", "-Dsun.net.client.defaultConnectTimeout=20000", "-Dsun.net.client.defaultReadTimeout=60000")
_ATTEMPTS = 2


def resolve(
    name: str,
    packages: Sequence[str],
    excludes: Sequence[str] = (),
    *,
    folder: Path,
    ivy_settings: str = "",
    progress: Callable[[str], None] = lambda line: None,
    cancelled: threading.Event | None = None,
    jvm_options: Sequence[str] = (),
) -> list[Path]:
    """Download the packages and all they need, or find them downloaded.

    :param name: of this set of jars; they are kept in ``folder/name``.
    :param packages: Maven coordinates, ``group:artifact:version``.
    :param excludes: ``group:artifact`` that must not come along.
    :param ivy_settings: path of an Ivy settings file, for people behind a mirror; empty: Ivy's built-in settings.
    :param progress: gets a line now and then while something is downloaded.
    :param cancelled: when set, the download is ended.
    :param jvm_options: further options of the Ivy process.
    :returns: the jars, sorted by name.
    :raises StackError: naming the packages that were not found, or why Ivy could not run.
    :raises ConfigError: a package is no Maven coordinate, or ``ivy_settings`` is no file.
    """
    stamp: dict[str, object] = {
        "packages": sorted(packages),
        "excludes": sorted(excludes),
        "pyspark": pyspark_version(),
    }
    if (found := _complete(folder / name, stamp)) is not None:
        return found
    if ivy_settings and not Path(ivy_settings).is_file():
        raise ConfigError(f"[bigdata] ivy_settings = {ivy_settings}: there is no such file")
    lock = hold(folder / f".{name}.lock", f"{name} jars", progress, _LOCK_SECONDS)
    with lock as descriptor:
        if (found := _complete(folder / name, stamp)) is not None:
            return found
        download = _Download(name, folder, progress, cancelled or threading.Event(), descriptor)
        _write_ivy_file(download.ivy_file, name, packages, excludes)
        download.run(ivy_settings, jvm_options)
        return download.publish(stamp)


def pyspark_jars_dir() -> Path:
    """Where pyspark keeps its jars; pyspark is not imported for it.

    :raises ConfigError: when pyspark is not installed in this Python.
    """
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ConfigError(_NO_PYSPARK)
    return Path(spec.origin).parent / "jars"


def beyond_pyspark(jars: Iterable[Path]) -> list[Path]:
    """Those of the jars that pyspark does not have itself, in whatever version.

    :param jars: as :func:`resolve` returns them.
    """
    theirs = {_artifact(jar.name) for jar in pyspark_jars_dir().glob("*.jar")}
    return [jar for jar in jars if _artifact(plain_name(jar)) not in theirs]


def plain_name(jar: Path) -> str:
    """The name that a jar of :func:`resolve` has in Maven: without the organisation."""
    return jar.name.partition("_")[2]


@cache
def pyspark_version() -> str:
    """The installed pyspark's version.

    :raises ConfigError: when pyspark is not installed in this Python.
    """
    try:
        return version("pyspark")
    except PackageNotFoundError:
        raise ConfigError(_NO_PYSPARK) from None


def _complete(target: Path, stamp: dict[str, object]) -> list[Path] | None:
    try:
        found = json.loads((target / _STAMP).read_text())
        sizes: dict[str, int] = found.pop("jars")
        if found == stamp and all((target / jar).stat().st_size == size for jar, size in sizes.items()):
            return [target / jar for jar in sorted(sizes)]
    except (OSError, ValueError, AttributeError, KeyError):
        pass  # not there, or damaged: either way it must be made
    return None


def _write_ivy_file(path: Path, name: str, packages: Sequence[str], excludes: Sequence[str]) -> None:
    lines = ['<ivy-module version="2.0">', f"<info organisation='bigdata' module={quoteattr(name)}/>"]
    lines += ['<configurations><conf name="default"/></configurations>', "<dependencies>"]
    for package in packages:
        parts = package.split(":")
        if len(parts) != 3 or not all(parts):
            raise ConfigError(f"{name}: package {package!r} is not of the form group:artifact:version")
        org, module, rev = map(quoteattr, parts)
        lines.append(f'<dependency org={org} name={module} rev={rev} conf="default->runtime,master" force="true"/>')
    for exclude in excludes:
        org, _, module = exclude.partition(":")
        lines.append(f"<exclude org={quoteattr(org)} module={quoteattr(module or '*')}/>")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "</dependencies>", "</ivy-module>", ""]))


class _Download:
    """One run of Ivy, in a folder of its own beside the target."""

    def __init__(
        self, name: str, folder: Path, progress: Callable[[str], None], cancelled: threading.Event, descriptor: int
    ) -> None:
        self.name, self.progress, self.cancelled, self.descriptor = name, progress, cancelled, descriptor
        self.target = folder / name
        self.work = folder / f".{name}.part"
        self.cache = self.work / "cache"
        self.jars = self.work / "jars"
        self.ivy_file = self.work / "ivy.xml"
        self.log_file = self.work / "ivy.log"

    def run(self, ivy_settings: str, jvm_options: Sequence[str]) -> None:
        shutil.rmtree(self.jars, ignore_errors=True)
        command = [str(find_java().executable), *_JVM_OPTIONS, *jvm_options]
        command += [f"-Divy.default.ivy.user.dir={self.work / 'user'}", "-jar", str(_ivy_jar())]
        command += ["-settings", ivy_settings] if ivy_settings else []
        command += ["-ivy", str(self.ivy_file), "-cache", str(self.cache), "-confs", "default"]
        command += ["-retrieve", str(self.jars / "[organisation]_[artifact]-[revision](-[classifier]).[ext]")]
        # OSGi bundles are plain jars under another name in their pom; woodstox and scala-logging are such.
        command += ["-types", "jar", "bundle"]
        self.progress(f"{self.name}: first use, downloading")
        for attempt in range(1, _ATTEMPTS + 1):
            if self._run_once(command) == 0:
                return
            output = self.log_file.read_text(errors="replace")
            if attempt == _ATTEMPTS or "Server access error" not in output or self.cancelled.is_set():
                raise _failure(self.name, output, self.log_file)
            self.progress(f"{self.name}: the network failed, trying once more")

    def publish(self, stamp: dict[str, object]) -> list[Path]:
        jars = sorted(self.jars.glob("*.jar"))
        sizes = {jar.name: jar.stat().st_size for jar in jars}
        (self.jars / _STAMP).write_text(json.dumps({**stamp, "jars": sizes}, indent=1))
        shutil.rmtree(self.target, ignore_errors=True)
        self.jars.rename(self.target)
        shutil.rmtree(self.work, ignore_errors=True)
        self.progress(f"{self.name}: {len(jars)} jars, {sum(sizes.values()) / 1e6:.0f} MB, complete")
        return [self.target / jar.name for jar in jars]

    def _run_once(self, command: list[str]) -> int:
        with self.log_file.open("w") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, pass_fds=(self.descriptor,)
            )
        try:
            told = time.monotonic()
            while process.poll() is None:
                if self.cancelled.wait(0.1):
                    raise StackError(
                        self.name, "the download was cancelled", "Start it again: it goes on where it stopped"
                    )
                if time.monotonic() - told >= _PROGRESS_SECONDS:
                    told = time.monotonic()
                    self.progress(self._state())
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return process.returncode

    def _state(self) -> str:
        output = self.log_file.read_text(errors="replace")
        found, done = output.count("\tfound "), output.count("[SUCCESSFUL ]")
        if not done:
            seen = sum(1 for _ in self.cache.rglob("ivy-*.xml"))
            return f"{self.name}: looking up what it needs, {seen} packages seen"
        # Ivy says only at the end how many of the packages found are superseded by others or have no jar.
        size = sum(path.stat().st_size for path in self.cache.rglob("*.jar"))
        return f"{self.name}: {done} of at most {found} jars, {size / 1e6:.0f} MB"


def _artifact(jar: str) -> str:
    return re.sub(r"-\d[^-]*(-.*)?\.jar$", "", jar)


def _ivy_jar() -> Path:
    found = sorted(pyspark_jars_dir().glob("ivy-*.jar"))
    if not found:
        raise StackError("ivy", f"no ivy-*.jar in {pyspark_jars_dir()}", "Install pyspark again: it is incomplete")
    return found[-1]


def _failure(name: str, output: str, log_file: Path) -> StackError:
    missing = [
        ":".join(item) for item in re.findall(r"^\s*:: ([^#\s]+)#([^;\s]+);(\S+): not found", output, re.MULTILINE)
    ]
    missing += re.findall(r"\[FAILED\s*\] (\S+?):", output)
    reasons = sorted(set(re.findall(r"Server access error at url \S+ \((.+)\)", output)))
    what = f"not found: {', '.join(dict.fromkeys(missing))}" if missing else f"Ivy failed; its log is {log_file}"
    if reasons:
        hint = f"The network failed ({'; '.join(reasons[:3])}). Look at it; behind a mirror, set [bigdata] ivy_settings"
    elif missing:
        hint = "Look at the names and versions; behind a mirror, set [bigdata] ivy_settings"
    else:
        lines = [line.strip() for line in output.splitlines()]
        last = [line for line in lines if line and not line.startswith("at ")][-3:]
        hint = f"Its last lines: {' | '.join(last) or 'none'}"
    return StackError(name, what, hint)
