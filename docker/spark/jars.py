"""Gathers the jars that the Spark image has beyond pyspark's own; the Dockerfile runs it in a stage of its own.

    python docker/spark/jars.py FOLDER           fill FOLDER/jars and FOLDER/prometheus, checked against jars.sha256
    python docker/spark/jars.py --lock FOLDER    the same, but write jars.sha256 from what came (make lock)

Which packages is said in bigdata/spark/packages.py alone. pyspark's own Ivy fetches them, from Maven Central or from
$MAVEN_MIRROR, through the proxies that $http_proxy, $https_proxy and $no_proxy name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from bigdata.errors import BigdataError, StackError
from bigdata.local import ivy
from bigdata.spark import packages

LOCK = Path(__file__).with_name("jars.sha256")
SETS = {
    "jars": (
        (*packages.S3A_PACKAGES, *packages.KAFKA_PACKAGES),
        (*packages.S3A_EXCLUDES, *packages.KAFKA_EXCLUDES),
    ),
    "prometheus": (packages.JMX_EXPORTER_PACKAGES, ()),
}


def gather(folder: Path) -> list[Path]:
    """Fill the folder with the jars, by the names that they have in Maven.

    :raises StackError: a package cannot be had.
    """
    settings = mirror(folder, os.environ.get("MAVEN_MIRROR", ""))
    gathered = []
    for name, (wanted, excludes) in SETS.items():
        target = folder / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        found = ivy.resolve(
            f"image-{name}",
            wanted,
            excludes,
            folder=folder / "ivy",
            ivy_settings=settings,
            progress=lambda line: print(line, file=sys.stderr),
            jvm_options=tuple(proxy_options()),
        )
        for jar in ivy.beyond_pyspark(found):
            copy = target / ivy.plain_name(jar)
            if copy.exists():
                raise StackError("jars", f"two packages have a jar {copy.name}", "Exclude one of them in packages.py")
            shutil.copyfile(jar, copy)
            gathered.append(copy)
    return gathered


def checksums(folder: Path, jars: list[Path]) -> str:
    """The jars as ``sha256sum`` lists them."""
    lines = (f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.relative_to(folder)}\n" for jar in jars)
    return "".join(sorted(lines, key=lambda line: line.split()[1]))


def differences(locked: str, found: str) -> str:
    """What is in one list alone; empty when they are the same."""
    before, now = set(locked.splitlines()), set(found.splitlines())
    lines = [f"-{line}" for line in before - now] + [f"+{line}" for line in now - before]
    return "\n".join(sorted(lines, key=lambda line: line.split()[1]))


def proxy_options() -> Iterator[str]:
    """Java's words for the environment's proxies, which it does not read itself."""
    proxies = urllib.request.getproxies()
    for scheme in ("http", "https"):
        url = urlsplit(proxies.get(scheme, ""))
        if url.hostname:
            yield f"-D{scheme}.proxyHost={url.hostname}"
            yield f"-D{scheme}.proxyPort={url.port or 80}"
    hosts = [host.strip() for host in proxies.get("no", "").split(",") if host.strip()]
    if hosts:  # a leading dot means all hosts of that domain
        yield f"-Dhttp.nonProxyHosts={'|'.join('*' + host if host.startswith('.') else host for host in hosts)}"


def mirror(folder: Path, url: str) -> str:
    """A settings file of Ivy for a mirror of Maven Central; its path, or empty."""
    if not url:
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "ivysettings.xml"
    file.write_text(
        '<ivysettings><settings defaultResolver="mirror"/><resolvers>'
        f'<ibiblio name="mirror" m2compatible="true" root={quoteattr(url)}/></resolvers></ivysettings>\n'
    )
    return str(file)


def main(arguments: list[str]) -> str:
    """Do as the command line says.

    :returns: what is wrong, or nothing.
    """
    *options, folder = arguments or [""]
    if options not in ([], ["--lock"]) or not folder or folder.startswith("-"):
        return str(__doc__)
    try:
        target = Path(folder).resolve()
        found = checksums(target, gather(target))
    except BigdataError as error:
        return str(error)
    if options:
        LOCK.write_text(found)
    elif different := differences(LOCK.read_text(), found):
        return f"The jars are not those of {LOCK.name}; after a change of versions, make lock writes it:\n{different}"
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) or 0)
