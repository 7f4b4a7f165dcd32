"""Fetches the jars that the runtime ``local`` would else download at its first run, where it looks for them; the
Dockerfile runs it in a stage of its own.

    python docker/airflow/spark_jars.py STATE_DIR

Each must be the one of docker/spark/jars.sha256; mirrors and proxies are found as docker/spark/jars.py finds them.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path

SPARK = Path(__file__).parents[1] / "spark"
sys.path.insert(0, str(SPARK))

import jars as image_jars  # noqa: E402

from bigdata import settings  # noqa: E402
from bigdata.errors import BigdataError, StackError  # noqa: E402
from bigdata.local import ivy, jars  # noqa: E402


def fetch(state_dir: Path) -> list[Path]:
    """Fill ``<state_dir>/jars/spark``.

    :returns: the jars that drivers get.
    :raises StackError: a package cannot be had, or a jar is not the locked one.
    """
    mirror = image_jars.mirror(state_dir, os.environ.get("MAVEN_MIRROR", ""))
    chosen = replace(settings.from_environment(state_dir.parent), state_dir=state_dir, ivy_settings=mirror)
    options = tuple(image_jars.proxy_options())
    found = ivy.beyond_pyspark(
        jars.fetch(chosen, ["spark"], lambda line: print(line, file=sys.stderr), options)["spark"]
    )
    if others := unlocked(found, image_jars.LOCK.read_text()):
        raise StackError("spark", f"not the jars of {image_jars.LOCK.name}: {', '.join(others)}", "make lock writes it")
    return found


def unlocked(found: list[Path], lock: str) -> list[str]:
    """The jars that the lock has not, or has otherwise."""
    known = set(lock.splitlines())
    lines = {f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  jars/{ivy.plain_name(jar)}": jar.name for jar in found}
    return [name for line, name in lines.items() if line not in known]


if __name__ == "__main__":
    try:
        fetch(Path(sys.argv[1]).resolve())
    except BigdataError as error:
        sys.exit(str(error))
