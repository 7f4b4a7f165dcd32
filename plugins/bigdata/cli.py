"""The command ``bigdata``: the embedded stack, and the environment that Airflow runs in.

It works from anywhere in the checkout, needs no AIRFLOW_HOME and does not load Airflow.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bigdata import __version__, settings
from bigdata.errors import BigdataError, ConfigError
from bigdata.local.brokers import ROSTERS
from bigdata.local.record import State, Status
from bigdata.local.stack import DEFAULT_SERVICES, NAMES, SERVICES, Stack

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Errors of the user's world are one message on stderr."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        return arguments.run(arguments)
    except BigdataError as error:
        print(f"bigdata: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader, such as head, has seen enough. What is left in the buffer must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"bigdata: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bigdata: interrupted", file=sys.stderr)
        return _INTERRUPTED


def project_settings(prefer_here: bool = False) -> settings.Settings:
    """The settings of the project that was entered, or else of the one that the current folder lies in.

    :param prefer_here: ask the current folder first.
    :raises ConfigError: when there is neither.
    """
    key = "AIRFLOW__BIGDATA__PROJECT_DIR"
    entered, here = os.environ.get(key), settings.find_project(Path.cwd())
    if here and (prefer_here or not entered):
        return settings.from_environment(here, {**os.environ, key: str(here)})
    if entered:
        return settings.from_environment(Path(entered))
    raise ConfigError(
        f"{Path.cwd()} is not in a checkout of the project (dags/, spark_jobs/, pyproject.toml): go there"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bigdata", description="Spark, Kafka and S3 for Airflow on this machine.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _command(commands, "env", 'print the project\'s environment: eval "$(.venv/bin/bigdata env)"', _env)

    local = commands.add_parser("local", help="the embedded Kafka and S3", description="The embedded Kafka and S3.")
    parts = local.add_subparsers(metavar="COMMAND", required=True)
    up = _command(parts, "up", "start it, and heal what is broken", _up)
    up.add_argument("services", nargs="*", metavar="SERVICE", help=f"of {', '.join(NAMES)}; default: kafka s3")
    up.add_argument("--all", action="store_true", help="all services, Spark's history server too")
    up.add_argument(
        "--brokers",
        type=int,
        choices=list(ROSTERS),
        help="of Kafka; default: [bigdata] kafka_brokers, or as many as run",
    )
    up.add_argument("--kafka-port", type=_port, metavar="PORT", help="default: [bigdata] kafka_port, or any free one")
    up.add_argument("--s3-port", type=_port, metavar="PORT", help="default: [bigdata] s3_port, or any free one")
    _command(parts, "down", "stop it; data and ports are kept", _down)
    status = _command(parts, "status", "show it; the exit code is 0 only if it is up", _status)
    status.add_argument("--json", action="store_true", help="for programs")
    logs = _command(parts, "logs", "show the ends of the services' logs", _logs)
    logs.add_argument("service", nargs="?", choices=list(SERVICES), help="default: all that ran here")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    logs.add_argument("-n", "--lines", type=_count, default=50, help="of each log (%(default)s)")
    _command(commands, "ui", "start Airflow for the browser, with all services; show address and login", _ui)
    run = _command(commands, "run", "run a DAG once, here, and show what matters of its log", _run)
    run.add_argument("dag", metavar="DAG")
    run.add_argument("--conf", metavar="JSON", help="its parameters")
    run.add_argument("-v", "--verbose", action="store_true", help="show the whole log")
    return parser


def _command(
    commands: Any, name: str, help_text: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(run=run)
    return parser


def _env(_: argparse.Namespace) -> int:
    from bigdata.local.environment import airflow_environment

    for key, value in airflow_environment(project_settings(prefer_here=True).project_dir).items():
        print(f"export {key}={shlex.quote(value)}")
    return 0


def _up(arguments: argparse.Namespace) -> int:
    given = {"kafka_port": arguments.kafka_port, "s3_port": arguments.s3_port, "kafka_brokers": arguments.brokers}
    chosen = replace(project_settings(), **{key: value for key, value in given.items() if value is not None})
    services = NAMES if arguments.all else tuple(arguments.services) or DEFAULT_SERVICES
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        print(line, flush=True)

    found = Stack(chosen).up(services, tell)
    if not told:
        print("already up: " + ", ".join(f"{status.name} at {status.url}" for status in found))
    return 0


def _down(_: argparse.Namespace) -> int:
    Stack(project_settings()).down(lambda line: print(line, flush=True))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    stack = Stack(project_settings())
    found = stack.status()
    if arguments.json:
        print(json.dumps([asdict(status) for status in found], indent=2))
    else:
        _print_table(found)
    return 0 if all(_is_fine(stack, status) for status in found) else 1


def _is_fine(stack: Stack, status: Status) -> bool:
    return status.state is State.UP or (status.state is State.DOWN and not stack.is_needed(status.name))


def _print_table(found: Sequence[Status]) -> None:
    rows = [("SERVICE", "STATE", "PID", "ADDRESS", "VERSION", "SINCE")]
    for status in found:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.since)) if status.since else "-"
        rows.append((status.name, status.state, str(status.pid or "-"), status.url or "-", status.version, since))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _logs(arguments: argparse.Namespace) -> int:
    names = [arguments.service] if arguments.service else []
    for name, line in Stack(project_settings()).logs(names, arguments.lines, arguments.follow):
        print(line if arguments.service else f"{name} | {line}", flush=arguments.follow)
    return 0


def _port(text: str) -> int:
    if text.isdigit() and 0 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port (0 to 65535)")


def _count(text: str) -> int:
    if text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of lines")


def _ui(_: argparse.Namespace) -> int:
    from bigdata.local.airflow_ui import login, wait_for_dags

    chosen = project_settings()
    found = {status.name: status for status in Stack(chosen).up(NAMES, lambda line: print(line, flush=True))}
    who = login(chosen.state_dir)
    airflow = found["airflow"]
    for file, problem in wait_for_dags(airflow.url, who, chosen.project_dir / "dags", airflow.since).items():
        print(f"dags/{file}: {problem}")
    print(f"""
Airflow        {airflow.url}   user {who.user}, password {who.password}
Spark history  {found["history"].url}
Stop all       make down""")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from bigdata.local.dagrun import run_dag

    if not re.fullmatch(r"[\w.-]+", arguments.dag):
        raise ConfigError(f"{arguments.dag!r} is no id of a DAG: letters, digits, '_', '-' and '.'")
    chosen = project_settings()
    log, summary = (
        chosen.state_dir / "log" / f"{arguments.dag}.log",
        chosen.state_dir / "reports" / f"{arguments.dag}.txt",
    )
    summary.unlink(missing_ok=True)
    conf = ["--conf", arguments.conf] if arguments.conf else []
    code = run_dag(arguments.dag, conf, log, arguments.verbose, lambda line: print(line, flush=True))
    print(f"\n{arguments.dag} {'failed' if code else 'succeeded'}; its whole log: {log}")
    if not code and summary.exists():
        print("\n" + summary.read_text(encoding="utf-8").rstrip())
        print("airflow     make ui opens Airflow in the browser; make down stops Kafka and S3")
    return code


if __name__ == "__main__":
    sys.exit(main())
