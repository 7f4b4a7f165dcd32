"""What the two images can do, as pods under Pod Security "restricted" with a root that cannot be written to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from bigdata.local.java import find_java
from bigdata.spark.manifest.loading import load
from bigdata.spark.native.runtime import NativeSettings
from bigdata.spark.packages import HADOOP_VERSION
from bigdata.spark.runtime import State

from ..waiting import soon
from . import operated
from .conftest import Bench, left
from .restricted import namespace, output

pytestmark = pytest.mark.cluster

SPARK = operated.IMAGE
AIRFLOW = os.environ.get("BIGDATA_AIRFLOW_IMAGE", "bigdata/airflow:3.3.2")
MONITORING = {
    "exposeDriverMetrics": True,
    "exposeExecutorMetrics": True,
    "metricsPropertiesFile": "/prometheus/metrics.properties",
    "prometheus": {
        "jmxExporterJar": "/prometheus/jmx_prometheus_javaagent.jar",
        "configFile": "/prometheus/config.yaml",
    },
}
CLASSES = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").getOrCreate()
conf = spark.sparkContext._jsc.hadoopConfiguration()
for key in ("access.key", "secret.key"):
    conf.set("fs.s3a." + key, "test")
conf.set("fs.s3a.endpoint", "http://127.0.0.1:9")
path = spark._jvm.org.apache.hadoop.fs.Path("s3a://bucket/")
print("s3a:", path.getFileSystem(conf).getClass().getName())
options = {"kafka.bootstrap.servers": "127.0.0.1:9", "subscribe": "topic"}
print("kafka:", *spark.read.format("kafka").options(**options).load().columns)
"""


@pytest.fixture(scope="module")
def restricted(api_client: Any) -> Iterator[str]:
    with namespace(api_client) as name:
        yield name


def test_the_namespace_refuses_a_pod_that_may_be_root(core: Any, restricted: str) -> None:
    """Or the other tests would prove nothing."""
    from kubernetes.client import ApiException

    with pytest.raises(ApiException, match=r"violates PodSecurity \\\"restricted"):
        core.create_namespaced_pod(
            restricted, {"metadata": {"name": "root"}, "spec": {"containers": [{"name": "x", "image": SPARK}]}}
        )


def test_spark_is_not_root_and_tini_is_the_first_process(core: Any, restricted: str) -> None:
    script = "id -u; pwd; tr '\\0' ' ' </proc/1/cmdline; echo; touch /opt/spark/x 2>&1 || true; ls /prometheus"
    said = output(core, restricted, SPARK, "bash", "-c", script).splitlines()
    assert said[:2] == ["185", "/tmp"]
    assert said[2].startswith("/usr/bin/tini -s -- /opt/entrypoint.sh bash -c")
    assert said[3] == "touch: cannot touch '/opt/spark/x': Read-only file system"
    assert "jmx_prometheus_javaagent.jar" in said


def test_spark_has_the_jobs_of_this_checkout(core: Any, restricted: str) -> None:
    jobs = sorted((Path(__file__).parents[2] / "spark_jobs").glob("*.py"))
    said = output(core, restricted, SPARK, "sh", "-c", "cd /opt/spark/jobs && wc -c *.py").splitlines()
    found = {line.split()[1]: int(line.split()[0]) for line in said}
    assert {job.name: found.get(job.name) for job in jobs} == {job.name: job.stat().st_size for job in jobs}


def test_s3a_and_the_kafka_connector_load(core: Any, restricted: str) -> None:
    said = output(core, restricted, SPARK, "python3", "-c", CLASSES).splitlines()
    assert "s3a: org.apache.hadoop.fs.s3a.S3AFileSystem" in said
    assert "kafka: key value topic partition offset timestamp timestampType" in said


def test_spark_pi_runs_by_spark_submit(api_client: Any, restricted: str, tmp_path: Path) -> None:
    settings = NativeSettings(api_client, find_java().home, tmp_path, restricted, dict(os.environ), startup_timeout=120)
    bench = Bench(settings)
    bench.run(load(operated.PI).with_spec(image=SPARK)).check("spark-pi")
    assert bench.said("Pi is roughly").startswith("3.1")
    assert soon(lambda: not left(api_client, restricted)), left(api_client, restricted)


def test_spark_pi_runs_by_the_operator(bench: operated.Bench, api_client: Any, core: Any, restricted: str) -> None:
    """Where the operator works need not be restricted: its pods must be such that they could be there."""
    seen: dict[str, Any] = {}

    def both_roles() -> bool:
        for pod in core.list_namespaced_pod(operated.NAMESPACE, label_selector="spark-role").items:
            seen[pod.metadata.labels["spark-role"]] = pod
        return len(seen) == 2

    def look(state: State) -> None:
        assert state.raw != "RUNNING" or soon(both_roles, 60)

    # Files of the application are copied to where driver and executor run.
    jobs, jar = "local:///opt/spark/jobs", f"local:///opt/spark/jars/hadoop-aws-{HADOOP_VERSION}.jar"
    deps = {"pyFiles": [f"{jobs}/titanic_csv.py"], "files": [f"{jobs}/hadoop.py"], "jars": [jar]}
    bench.run(load(operated.PI).with_name("spark-pi-images").with_spec(image=SPARK, deps=deps), look).check("spark-pi")
    assert any(line.startswith("Pi is roughly 3.1") for line in bench.lines)
    for role, pod in seen.items():
        spec = api_client.sanitize_for_serialization(pod.spec)
        assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True, role
        core.create_namespaced_pod(restricted, {"metadata": {"name": role}, "spec": _movable(spec)}, dry_run="All")


def test_driver_and_executor_tell_prometheus_their_metrics(bench: operated.Bench, core: Any) -> None:
    application = operated.application("wait", monitoring=MONITORING)
    runtime = bench.runtime
    handle = runtime.submit(application)
    operated.until(handle, runtime, "RUNNING")

    def metrics(role: str) -> str:
        from kubernetes.client import ApiException

        pods = core.list_namespaced_pod(operated.NAMESPACE, label_selector=f"spark-role={role}").items
        pods = [pod for pod in pods if pod.metadata.labels.get("sparkoperator.k8s.io/app-name") == handle.name]
        try:
            names = [f"{pod.metadata.name}:8090" for pod in pods]
            read = partial(core.connect_get_namespaced_pod_proxy_with_path, path="metrics", _preload_content=False)
            return "".join(read(name, operated.NAMESPACE).data.decode() for name in names)
        except ApiException:
            return ""  # it does not listen yet

    try:
        named = rf'app="{handle.name}",instance="%s",namespace="{operated.NAMESPACE}"'
        driver = rf"^spark_blockmanager_memory_maxmem_mb{{{named % 'driver'}}} \d"
        assert soon(lambda: re.search(driver, metrics("driver"), re.MULTILINE), 90), metrics("driver")
        executor = rf"^spark_executor_runtime_total{{{named % '1'}}} \d"
        assert soon(lambda: re.search(executor, metrics("executor"), re.MULTILINE), 90), metrics("executor")
        assert re.search(r"^jvm_memory_used_bytes", metrics("executor"), re.MULTILINE)
    finally:
        runtime.cancel(handle)


def test_airflow_has_the_library_and_loads_every_dag(core: Any, restricted: str) -> None:
    script = """
    id -u; airflow version; bigdata --version
    python -c 'import importlib.util as u; print(u.find_spec("pyspark"))'
    (airflow db migrate && airflow dags reserialize) >/tmp/log 2>&1 || tail -50 /tmp/log
    echo "ERRORS $(airflow dags list-import-errors -o json 2>/dev/null | tail -1)"
    echo "DAGS $(airflow dags list -o json 2>/dev/null | tail -1)"
    """
    said = output(
        core, restricted, AIRFLOW, "bash", "-c", script,
        AIRFLOW_HOME="/tmp/airflow",
        AIRFLOW__CORE__DAGS_FOLDER="/opt/airflow/dags",
        AIRFLOW__CORE__LOAD_EXAMPLES="false",
    ).splitlines()  # fmt: skip
    assert said[:4] == ["50000", version("apache-airflow"), version("airflow-bigdata"), "None"]
    (errors,) = [line for line in said if line.startswith("ERRORS")]
    assert errors in ("ERRORS No data found", "ERRORS []"), errors
    (dags,) = [line for line in said if line.startswith("DAGS")]
    expected = {file.stem for file in (Path(__file__).parents[2] / "dags").glob("*.py")}
    assert {dag["dag_id"] for dag in json.loads(dags.removeprefix("DAGS "))} == expected


def test_airflow_runs_as_any_user_of_group_root(core: Any, restricted: str) -> None:
    """As OpenShift runs it."""
    said = output(core, restricted, AIRFLOW, "bash", "-c", "id -u; bigdata --version", user=12345).splitlines()
    assert said == ["12345", version("airflow-bigdata")]


def _movable(spec: dict[str, Any]) -> dict[str, Any]:
    """Without what a pod has of its own node, namespace and service account."""
    mine = [name for name in (volume["name"] for volume in spec["volumes"]) if name.startswith("kube-api-access")]
    containers = [
        {**container, "volumeMounts": [item for item in container["volumeMounts"] if item["name"] not in mine]}
        for container in spec["containers"]
    ]
    volumes = [volume for volume in spec["volumes"] if volume["name"] not in mine]
    own = ("nodeName", "serviceAccount", "serviceAccountName")
    kept = {key: value for key, value in spec.items() if key not in own}
    return {**kept, "containers": containers, "volumes": volumes}
