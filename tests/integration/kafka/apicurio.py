"""A real schema registry: Apicurio's, in memory, which speaks the API of Confluent's. It comes from Maven, as the other
embedded parts do; where it does not come, its tests are skipped and say why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bigdata.local import ivy
from bigdata.local.java import find_java
from bigdata.local.lock import hold
from bigdata.local.ports import HOST, free_port

from ...waiting import soon

VERSION = "2.6.13.Final"  # the last that runs with Java 17
_IVY = f"""
<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">
  <info organisation="bigdata" module="registry"/>
  <configurations><conf name="default"/></configurations>
  <dependencies>
    <dependency org="io.apicurio" name="apicurio-registry-app" rev="{VERSION}" conf="default->master">
      <artifact name="apicurio-registry-app" type="tar.gz" ext="tar.gz" m:classifier="all"/>
    </dependency>
  </dependencies>
</ivy-module>
"""


def fetch(folder: Path, ivy_settings: str) -> Path:
    """The folder of the program; downloads 142 MB the first time."""
    target = folder / f"apicurio-{VERSION}"
    with hold(folder / ".apicurio.lock", "registry", print, 900):
        if not target.exists():
            part = folder / ".apicurio.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            (part / "ivy.xml").write_text(_IVY)
            command = [str(find_java().executable), *ivy._JVM_OPTIONS, "-jar", str(ivy._ivy_jar())]
            command += ["-settings", ivy_settings] if ivy_settings else []
            command += ["-ivy", str(part / "ivy.xml"), "-cache", str(part / "cache"), "-confs", "default"]
            command += ["-retrieve", str(part / "[artifact](-[classifier]).[ext]"), "-types", "tar.gz"]
            done = subprocess.run(["timeout", "600", *command], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"Apicurio's registry could not be fetched: {done.stdout[-500:]}")
            with tarfile.open(next(part.glob("*.tar.gz"))) as archive:
                archive.extractall(part / "app", filter="data")
            (part / "app").rename(target)
            shutil.rmtree(part)
    return target


@contextmanager
def registry(program: Path, log: Path) -> Iterator[str]:
    """Run it; gives the address of the API of Confluent's."""
    port = free_port(18081, set())
    (jar,) = program.glob("*-runner.jar")
    options = ["-Xmx256m", f"-Dquarkus.http.host={HOST}", f"-Dquarkus.http.port={port}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(find_java().executable), *options, "-jar", str(jar)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"]},
        )
    url = f"http://{HOST}:{port}/apis/ccompat/v7"
    try:
        assert soon(lambda: _answers(url), 90), log.read_text()[-2000:]
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/subjects", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
