"""Real S3 and Kafka where pods and this machine both reach them."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bigdata.kafka.config import KafkaConfig
from bigdata.local import jars
from bigdata.local.ports import free_port
from bigdata.settings import Settings
from bigdata.storage.objects import ObjectStore

from ..waiting import soon
from .operated import IMAGE, NAMESPACE

SERVER = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=OUT://:{port},CONTROLLER://127.0.0.1:9093
advertised.listeners=OUT://{host}:{port}
listener.security.protocol.map=OUT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=OUT
controller.listener.names=CONTROLLER
log.dirs=/data/log
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""
START = """
set -e
mkdir -p /data/lib && cd /data/lib
python3 - <<'EOF'
import os, urllib.request
for name in os.environ["JARS"].split():
    urllib.request.urlretrieve(os.environ["FROM"] + name, name)
EOF
java -cp "/data/lib/*" kafka.tools.StorageTool format -t 5L6g3nShT-eMCtK--X86sw -c /etc/kafka/server.properties
exec java -Xmx256m -cp "/data/lib/*" kafka.Kafka /etc/kafka/server.properties
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *_: Any) -> None:
        pass


def node_address(core: Any) -> str:
    """The first node's, where node ports answer."""
    (node, *_) = core.list_node().items
    return str(next(item.address for item in node.status.addresses if item.type == "InternalIP"))


def own_address(core: Any) -> str:
    """This machine's, as the nodes see it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((node_address(core), 9))
        return str(probe.getsockname()[0])


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


def connection(store: ObjectStore) -> dict[str, Any]:
    """Airflow's connection to it."""
    extra = {"endpoint_url": store.endpoint_url, "region_name": "us-east-1"}
    return {"conn_type": "aws", "login": store.access_key, "password": store.secret_key, "extra": extra}


@contextmanager
def s3(core: Any, folder: Path) -> Iterator[ObjectStore]:
    """An S3 gateway that checks signatures, with files on this machine.

    Its program, versitygw, is the one of VERSITYGW, or on the PATH.
    """
    program = os.environ.get("VERSITYGW") or shutil.which("versitygw")
    if not program:
        pytest.skip("versitygw is needed as S3 server: put it on the PATH, or name it in VERSITYGW")
    host, port = own_address(core), free_port(17070)
    (folder / "s3").mkdir()
    store = ObjectStore(f"http://{host}:{port}", access_key="titanic", secret_key=uuid.uuid4().hex)
    command = [program, "--access", store.access_key, "--secret", store.secret_key, "--port", f"{host}:{port}"]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen([*command, "posix", str(folder / "s3")], stdout=log, stderr=log)
    try:
        assert soon(lambda: _answers(host, port), 20), (folder / "s3.log").read_text()
        yield store
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def kafka(core: Any, settings: Settings) -> Iterator[KafkaConfig]:
    """A broker in a pod, on a node port. The Spark image has Java; Kafka's jars come from this machine."""
    name = f"kafka-{uuid.uuid4().hex[:8]}"
    (found,) = jars.fetch(settings, ["kafka"]).values()
    handler = functools.partial(Quiet, directory=str(found[0].parent))
    with http.server.ThreadingHTTPServer((own_address(core), 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        spec = {"type": "NodePort", "selector": {"app": name}, "ports": [{"port": 9092}]}
        made = core.create_namespaced_service(NAMESPACE, {"metadata": {"name": name}, "spec": spec})
        host, port = node_address(core), made.spec.ports[0].node_port
        core.patch_namespaced_service(name, NAMESPACE, {"spec": {"ports": [{"port": 9092, "targetPort": port}]}})
        data = {"server.properties": SERVER.format(host=host, port=port)}
        core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": name}, "data": data})
        url = f"http://{server.server_address[0]}:{server.server_address[1]}/"
        environ = {"JARS": " ".join(jar.name for jar in found), "FROM": url}
        core.create_namespaced_pod(NAMESPACE, _pod(name, environ))
        try:
            log = lambda: core.read_namespaced_pod_log(name, NAMESPACE)  # noqa: E731
            assert soon(lambda: _answers(host, port), 120), log()
            time.sleep(2)
            yield KafkaConfig(f"{host}:{port}")
        finally:
            core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)
            core.delete_namespaced_service(name, NAMESPACE)
            core.delete_namespaced_config_map(name, NAMESPACE)
            server.shutdown()


def _pod(name: str, environ: dict[str, str]) -> dict[str, Any]:
    container = {
        "name": "kafka",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", START],
        "env": [{"name": key, "value": value} for key, value in environ.items()],
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "conf", "mountPath": "/etc/kafka"}],
    }
    volumes = [{"name": "data", "emptyDir": {}}, {"name": "conf", "configMap": {"name": name}}]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec}
