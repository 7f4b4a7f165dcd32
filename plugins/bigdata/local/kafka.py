"""Real Kafka brokers, KRaft mode, each broker and controller in one process, on loopback only: one, or three.

Delivery contract: records are in the page cache when acknowledged, as on any broker: they survive the end of the
process, however it ends, and not a power cut. Of three brokers any one may be killed: topics have three replicas and
need two in sync. The data folder is formatted beside its place and renamed into it, so that a crash while formatting
leaves nothing that looks like data. One broker and three have data of their own, in folders of their own.
"""

from __future__ import annotations

import base64
import shutil
import socket
import struct
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bigdata.errors import StackError
from bigdata.local import record
from bigdata.local.jars import KAFKA_VERSION
from bigdata.local.ports import HOST
from bigdata.local.service import Service, Site

_FORMAT_SECONDS = 120
_METADATA_REQUEST = 3

_LOG4J = """\
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %m (%c{1})%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


class Kafka(Service):
    """A broker: the only one, or one of a cluster.

    :param node_id: from 1.
    :param names: of all brokers of its cluster, in the order of their node ids.
    """

    version = KAFKA_VERSION
    main_class = "kafka.Kafka"
    jar_set = "kafka"
    first_port = 19092
    needs_inner_port = True

    def __init__(self, node_id: int = 1, names: Sequence[str] = ("kafka",)) -> None:
        self.node_id, self.names = node_id, tuple(names)
        self.name = self.names[node_id - 1]

    def prepare(self, site: Site) -> None:
        """See :class:`Service`."""
        site.conf.mkdir(parents=True, exist_ok=True)
        (site.conf / "log4j2.properties").write_text(_LOG4J)
        self._check(site.data)
        if not site.data.exists():
            self._format(site)
        self._configuration(site).write_text(_text(self.properties(site, site.data.name)))

    def jvm_options(self, site: Site) -> Sequence[str]:
        """See :class:`Service`."""
        return [
            "-Xmx256m",
            "-XX:+UseSerialGC",
            f"-Dlog4j2.configurationFile={(site.conf / 'log4j2.properties').as_uri()}",
        ]

    def arguments(self, site: Site) -> Sequence[str]:
        """See :class:`Service`."""
        return [str(self._configuration(site))]

    def answers(self, port: int, timeout: float) -> bool:
        """Ask for the cluster's metadata: only a broker that has joined its controller names itself there."""
        try:
            return (HOST, port) in _brokers(port, timeout)
        except (OSError, struct.error):
            return False

    def url(self, port: int) -> str:
        """The bootstrap server."""
        return f"{HOST}:{port}"

    def _configuration(self, site: Site) -> Path:
        return site.conf / "server.properties"

    def _check(self, data: Path) -> None:
        """A folder without meta.properties was never formatted: made anew when it has no topics, else named."""
        if not data.exists() or (data / "meta.properties").is_file():
            return
        if any((folder / "partition.metadata").exists() for folder in data.iterdir()):
            raise StackError(
                self.name,
                f"{data} holds topics but meta.properties is missing, so the broker will not open it",
                f"Put that file back, or give the data up: rm -r '{data}'",
            )
        shutil.rmtree(data)

    def _format(self, site: Site) -> None:
        fresh = site.data.with_name(f".{site.data.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        configuration = site.conf / "format.properties"
        configuration.write_text(_text(self.properties(site, fresh.name)))
        command = [str(site.java.executable), "-Xmx128m", "-XX:TieredStopAtLevel=1", *self.jvm_options(site)[1:]]
        command += ["-cp", site.class_path, "kafka.tools.StorageTool", "format"]
        command += ["-t", self._cluster_id(site), "-c", str(configuration), *self.format_arguments(site)]
        try:
            done = subprocess.run(
                command,
                cwd=fresh.parent,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_FORMAT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise StackError(self.name, f"formatting {fresh} took more than {_FORMAT_SECONDS} s", "Try again") from None
        if done.returncode != 0:
            last = (done.stdout + done.stderr).strip().splitlines()[-5:]
            raise StackError(self.name, f"the data folder {fresh} could not be formatted: {' | '.join(last)}", "")
        fresh.rename(site.data)

    def format_arguments(self, site: Site) -> Sequence[str]:
        """Further arguments of the tool that formats the data folder."""
        return ()

    def properties(self, site: Site, log_dir: str) -> dict[str, Any]:
        """The broker's configuration."""
        replicas = len(self.names)
        in_sync = max(1, replicas - 1)
        # log.dirs is relative to the working folder: a comma or an umlaut in the project's path cannot spoil it.
        return {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "controller.quorum.voters": ",".join(self._voters(site)),
            "listeners": f"BROKER://{HOST}:{site.port},CONTROLLER://{HOST}:{site.inner_port}",
            "advertised.listeners": f"BROKER://{HOST}:{site.port}",
            "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "BROKER",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": log_dir,
            # A wrong name is an error, as on the brokers of k8s/base/kafka.
            "auto.create.topics.enable": "false",
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": 1,
            # A lone consumer need not wait 3 s for others to join its group.
            "group.initial.rebalance.delay.ms": 0,
        }

    def _voters(self, site: Site) -> Iterator[str]:
        for number, name in enumerate(self.names, 1):
            known = record.load(site.state_dir / "stack" / f"{name}.json").inner_port
            yield f"{number}@{HOST}:{site.inner_port if name == self.name else known}"

    def _cluster_id(self, site: Site) -> str:
        """That of a broker of the same cluster which has its data already."""
        for name in self.names:
            file = site.state_dir / "data" / name / "meta.properties"
            for line in file.read_text().splitlines() if file.is_file() else ():
                if line.startswith("cluster.id="):
                    return line.partition("=")[2]
        return _new_cluster_id()


def _text(properties: Mapping[str, Any]) -> str:
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def _new_cluster_id() -> str:
    """22 characters, not starting with a dash: the tool would take that for an option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _brokers(port: int, timeout: float) -> Iterator[tuple[str, int]]:
    """Host and port of each broker, by Kafka's protocol itself: importing a client would take most of a ``status``.

    A Metadata request (version 1, no topics) and the broker list at the start of its answer.
    """
    header = struct.pack(">hhih", _METADATA_REQUEST, 1, 1, -1)
    body = header + struct.pack(">i", 0)
    with _connection(port, timeout) as link:
        link.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", _read(link, 4))
        answer = _read(link, min(size, 65536))
    (count,) = struct.unpack_from(">i", answer, 4)
    at = 8
    for _ in range(count):
        _, length = struct.unpack_from(">ih", answer, at)
        host = answer[at + 6 : at + 6 + length].decode("utf-8", "replace")
        at += 6 + length
        found, rack = struct.unpack_from(">ih", answer, at)
        at += 6 + max(rack, 0)
        yield host, found


@contextmanager
def _connection(port: int, timeout: float) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, port), timeout) as link:
        link.settimeout(timeout)
        yield link


def _read(link: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        if not (part := link.recv(size - len(parts))):
            raise ConnectionError("closed in the middle of an answer")
        parts += part
    return parts
