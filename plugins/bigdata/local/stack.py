"""The embedded stack: its services, started, looked at and stopped together.

Contract: ``up`` and ``down`` take turns by a lock. Services run in sessions of their own and outlive the caller.
Wherever ``up`` is cut off, the next ``up`` heals what it finds (adopts what answers, ends and restarts what does not)
and ``down`` ends everything that carries the stack's mark, written down or not. Data and ports outlast both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import psutil

from bigdata.errors import ConfigError, StackError
from bigdata.local import jars, process, record
from bigdata.local.airflow_ui import AirflowUI
from bigdata.local.brokers import BROKERS, KAFKA, reserve_inner_ports, roster
from bigdata.local.connections import write_connections
from bigdata.local.history import History
from bigdata.local.ivy import pyspark_jars_dir
from bigdata.local.java import find_java
from bigdata.local.launch import Launch, log_path, mark, record_path
from bigdata.local.lock import hold
from bigdata.local.logs import tail
from bigdata.local.record import Record, State, Status
from bigdata.local.s3 import S3
from bigdata.local.service import Service
from bigdata.settings import Settings

HINT = "run: bigdata local up"
DEFAULT_SERVICES = ("kafka", "s3")
#: what users ask for; ``kafka`` is all of its brokers
NAMES = (KAFKA, "s3", "history", "airflow")
SERVICES: dict[str, Service] = BROKERS | {service.name: service for service in (S3(), History(), AirflowUI())}

_LOCK_SECONDS = 1800
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 10
_PROBE_SECONDS = 3.0

Progress = Callable[[str], None]


class Stack:
    """The services of one project.

    :param patience: seconds a running service gets to answer before ``up`` restarts it: it may just be busy.
    :param start_timeout: seconds a service gets from its start to its first answer.
    """

    def __init__(self, settings: Settings, *, patience: float = 30.0, start_timeout: float = 300.0) -> None:
        self.settings, self.patience, self.start_timeout = settings, patience, start_timeout
        self.state_dir = settings.state_dir

    def up(self, services: Sequence[str] = DEFAULT_SERVICES, progress: Progress = lambda line: None) -> list[Status]:
        """Have these services running and answering, and Airflow's connections pointing to them.

        :param progress: gets lines for the user; none when everything is up already.
        :raises StackError: naming the service that cannot be had, and why; others stay as they are.
        """
        wanted = [_service(name) for name in self._expanded(services)]
        with self._lock(progress):
            self._stop_other_brokers(progress)
            missing = [service for service in wanted if not self._healthy(service, progress)]
            if missing:
                self._start(missing, progress)
            write_connections(self.settings, {name: self._load(name).port for name in (*self.brokers, "s3")})
            return [self._look(service) for service in wanted]

    def down(self, progress: Progress = lambda line: None) -> None:
        """End all services; nothing that carries the stack's mark is left. Fine to call when nothing runs."""
        if not self.state_dir.exists() and not self._processes(*SERVICES, "jars"):
            return
        with self._lock(progress):
            running = self._processes(*SERVICES, "jars")
            for name in SERVICES:
                if self._load(name).started:
                    progress(f"{name}: stopping")
            process.stop(running, _GRACE_SECONDS)
            for name in SERVICES:
                if (found := self._load(name)).started:
                    record.save(record_path(self.state_dir, name), found.stopped())

    def status(self) -> list[Status]:
        """All services as they are now; the optional ones only if they were ever started."""
        return [
            self._look(service)
            for name, service in SERVICES.items()
            if name in (*self.brokers, "s3")
            or (name not in BROKERS and record_path(self.state_dir, name).exists())
            or self._load(name).started
        ]

    @property
    def brokers(self) -> tuple[str, ...]:
        """The names of the services that make up Kafka."""
        return roster(self.state_dir, self.settings.kafka_brokers)

    def is_needed(self, name: str) -> bool:
        """Whether the stack is not up without this service."""
        return name in self._expanded(DEFAULT_SERVICES)

    def require(self, name: str) -> Status:
        """The service, if it is up.

        :raises StackError: saying what to run.
        """
        found = self._look(_service(name))
        if found.state is not State.UP:
            raise StackError(name, f"is {found.state}", HINT)
        return found

    def logs(self, names: Sequence[str] = (), lines: int = 50, follow: bool = False) -> Iterator[tuple[str, str]]:
        """Service and line: the last lines of these services' logs; with ``follow`` also what comes.

        :param names: default: all that ran here.
        :raises StackError: when none of them ever ran here.
        """
        paths = {_service(name).name: log_path(self.state_dir, name) for name in names or SERVICES}
        found = {name: path for name, path in paths.items() if path.exists()}
        if not found:
            raise StackError(" and ".join(paths), "no log: never started here", HINT)
        return tail(found, lines, follow)

    def _expanded(self, names: Sequence[str]) -> list[str]:
        return [one for name in names for one in (self.brokers if name == KAFKA else (name,))]

    def _stop_other_brokers(self, progress: Progress) -> None:
        """One broker and three are clusters of their own; only one of them runs."""
        for name in BROKERS:
            if name not in self.brokers and self._load(name).started:
                progress(f"{name}: stopping, as the number of brokers changes; its data stays in data/{name}")
                process.stop(self._processes(name), _GRACE_SECONDS)
                record.save(record_path(self.state_dir, name), self._load(name).stopped())

    def _start(self, missing: Sequence[Service], progress: Progress) -> None:
        java = find_java()
        if any(service.name in BROKERS for service in missing):
            reserve_inner_ports(self.state_dir, self.brokers, self._taken_ports(""))
        # Downloads take place under the stack's lock only, so that one found now has lost its parent.
        process.stop(self._processes("jars"), _GRACE_SECONDS)
        sets = list(dict.fromkeys(service.jar_set for service in missing if service.jar_set))
        # Spark's jars come along, so that after the first ``up`` nothing needs the network.
        jars.fetch(self.settings, [*sets, "spark"], progress, (mark(self.state_dir, "jars"),))
        launches: dict[str, Launch] = {}
        waiting = {service.name for service in missing}
        try:
            for service in missing:
                progress(f"{service.name}: starting")
                launches[service.name] = Launch(
                    service,
                    self.state_dir,
                    self.settings.project_dir,
                    java,
                    self._class_path(service),
                    self._configured_port(service.name),
                    self._taken_ports(service.name),
                    self.start_timeout,
                )
            while waiting:
                for name in [name for name in waiting if launches[name].poll()]:
                    waiting.discard(name)
                    progress(f"{name}: up at {SERVICES[name].url(launches[name].record.port)}")
                time.sleep(_POLL_SECONDS if waiting else 0)
        except BaseException:
            self._abandon(waiting)
            raise

    def _abandon(self, names: set[str]) -> None:
        process.stop(self._processes(*names), _GRACE_SECONDS)
        for name in names:
            record.save(record_path(self.state_dir, name), self._load(name).stopped())

    def _healthy(self, service: Service, progress: Progress) -> bool:
        """Whether the service can stay as it is; if not, what there is of it has been ended."""
        name, found = service.name, self._load(service.name)
        running = found.process()
        reason = self._reason_to_restart(service, found) if running else ""
        if running and not reason:
            if self._answers_in_time(service, found, progress):
                return True
            reason = f"does not answer on port {found.port}"
        if found.started:
            progress(f"{name}: restarting: it {reason or f'was killed (pid {found.pid} is gone)'}")
        leftovers = self._processes(name)
        for item in leftovers if not running else ():
            progress(f"{name}: ending a left-over process (pid {item.pid})")
        process.stop(leftovers, _GRACE_SECONDS)
        return False

    def _reason_to_restart(self, service: Service, found: Record) -> str:
        configured = self._configured_port(service.name)
        if configured and configured != found.port:
            return f"has port {found.port} and {configured} is configured"
        if found.version != service.version:
            return f"is version {found.version} and {service.version} is wanted"
        return ""

    def _answers_in_time(self, service: Service, found: Record, progress: Progress) -> bool:
        deadline = time.monotonic() + self.patience
        told = False
        while found.process():
            if service.answers(found.port, _PROBE_SECONDS):
                return True
            if time.monotonic() > deadline:
                return False
            if not told:
                progress(
                    f"{service.name}: runs (pid {found.pid}) but does not answer, waiting up to {self.patience:.0f} s"
                )
                told = True
            time.sleep(_POLL_SECONDS)
        return False

    def _look(self, service: Service) -> Status:
        found = self._load(service.name)
        running = found.process()
        if running:
            state = State.UP if service.answers(found.port, _PROBE_SECONDS) else State.SILENT
        else:
            state = State.DEAD if found.started else State.DOWN
        return Status(
            name=service.name,
            state=state,
            pid=found.pid if running else 0,
            port=found.port,
            url=service.url(found.port) if found.port else "",
            version=found.version or service.version,
            since=found.since if running else 0.0,
        )

    def _processes(self, *names: str) -> list[psutil.Process]:
        """What runs under these names, by record and by mark."""
        marks = {mark(self.state_dir, name) for name in names}
        found = {item.pid: item for item in process.marked(marks)}
        for name in names:
            if item := self._load(name).process():
                found[item.pid] = item
        return list(found.values())

    def _taken_ports(self, but: str) -> set[int]:
        records = [self._load(name) for name in SERVICES if name != but]
        configured = {self._configured_port(name) for name in SERVICES if name != but}
        return {port for found in records for port in (found.port, found.inner_port)} | configured

    def _configured_port(self, name: str) -> int:
        """The one that a setting says: of the first broker, where there are three."""
        key = KAFKA if name == self.brokers[0] else name
        return int(getattr(self.settings, f"{key}_port", 0))

    def _class_path(self, service: Service) -> str:
        folder = self.state_dir / "jars" / service.jar_set if service.jar_set else pyspark_jars_dir()
        return str(folder / "*")

    def _load(self, name: str) -> Record:
        return record.load(record_path(self.state_dir, name))

    def _lock(self, progress: Progress) -> AbstractContextManager[int]:
        return hold(self.state_dir / "stack" / ".lock", "stack", progress, _LOCK_SECONDS)


def _service(name: str) -> Service:
    try:
        return SERVICES[name]
    except KeyError:
        raise ConfigError(f"no service {name!r}: there are {', '.join(SERVICES)}") from None
