"""The plan of a local run, whole, and what decides each part of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from bigdata.errors import ConfigError, SubmitError
from bigdata.spark.local.command import LocalSettings, Plan, not_applied, plan, pyspark_home
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load
from bigdata.spark.submit.conf import render

RUN = Path("/state/spark-runs/etl-x")
SECRETS = {("aws-credentials", "access_key"): "AKIA", ("aws-credentials", "secret_key"): "hunter2-hunter2"}


def secret(name: str, key: str) -> str:
    try:
        return SECRETS[name, key]
    except KeyError:
        raise ConfigError("no such connection") from None


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    jobs = tmp_path / "my jobs"
    for name in ("etl.py", "lib/helpers.py", "extra.jar", "data.zip"):
        (jobs / name).parent.mkdir(parents=True, exist_ok=True)
        (jobs / name).touch()
    return LocalSettings(
        java_home=Path("/java"),
        state_dir=Path("/state"),
        jobs_root=jobs,
        jars=(Path("/jars/a.jar"), Path("/jars/b.jar")),
        secrets=secret,
        python=Path("/env/bin/python"),
        environ={
            "PATH": "/bin",
            "HOME": "/home/me",
            "LC_ALL": "C",
            "https_proxy": "http://proxy",
            "SPARK_HOME": "/other",
            "SPARK_CONF_DIR": "/other/conf",
            "PYTHONPATH": "/x",
            "AWS_SECRET_ACCESS_KEY": "of the shell",
            "AIRFLOW_CONN_X": "y",
        },
    )


def application(**spec: Any) -> Application:
    return load(
        {
            "apiVersion": "sparkoperator.k8s.io/v1beta2",
            "kind": "SparkApplication",
            "metadata": {"name": "etl", "namespace": "jobs"},
            "spec": {
                "type": "Python",
                "sparkVersion": "4.2.0",
                "mainApplicationFile": "local:///opt/spark/jobs/etl.py",
                "driver": {},
                "executor": {},
                **spec,
            },
        }
    )


def planned(settings: LocalSettings, **spec: Any) -> Plan:
    return plan(application(**spec), settings, RUN, 4040)


def test_the_whole_plan(settings: LocalSettings) -> None:
    found = planned(
        settings,
        mainClass="org.example.Main",
        arguments=["--day", "2026-01-01", "a b"],
        sparkConf={"spark.sql.shuffle.partitions": "8", "spark.driver.extraJavaOptions": "-Dlost=true"},
        hadoopConf={"fs.s3a.endpoint": "http://127.0.0.1:9000"},
        deps={
            "jars": ["local:///opt/spark/jobs/extra.jar", "s3a://b/c.jar"],
            "pyFiles": ["local:///opt/spark/jobs/lib/helpers.py"],
            "archives": ["local:///opt/spark/jobs/data.zip#data"],
            "packages": ["g:a:1", "g:b:2"],
            "excludePackages": ["g:c"],
            "repositories": ["https://mirror.example/maven"],
        },
        driver={
            "cores": 2,
            "memory": "2g",
            "javaOptions": "-Da=b",
            "env": [
                {"name": "MODE", "value": "test"},
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "aws-credentials", "key": "access_key"}}},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "envSecretKeyRefs": {"SECRET": {"name": "aws-credentials", "key": "secret_key"}},
        },
    )
    jobs = (settings.jobs_root).as_uri()
    assert found.argv == (
        str(pyspark_home() / "bin" / "spark-submit"),
        "--properties-file",
        "/state/spark-runs/etl-x/spark.properties",
        "--class",
        "org.example.Main",
        f"{jobs}/etl.py",
        "--day",
        "2026-01-01",
        "a b",
    )
    assert found.properties == {
        "spark.app.name": "etl",
        "spark.archives": f"{jobs}/data.zip#data",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": "/jars/a.jar:/jars/b.jar",
        "spark.driver.extraJavaOptions": "-Djava.io.tmpdir=/state/spark-runs/etl-x/tmp "
        "-Dderby.system.home=/state/spark-runs/etl-x/work -Da=b",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.eventLog.dir": "file:///state/spark-events",
        "spark.eventLog.enabled": "true",
        "spark.hadoop.fs.s3a.endpoint": "http://127.0.0.1:9000",
        "spark.jars": f"{jobs}/extra.jar,s3a://b/c.jar",
        "spark.jars.excludes": "g:c",
        "spark.jars.ivy": "/state/ivy",
        "spark.jars.packages": "g:a:1,g:b:2",
        "spark.jars.repositories": "https://mirror.example/maven",
        "spark.master": "local[2]",
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.warehouse.dir": "file:///state/spark-runs/etl-x/warehouse",
        "spark.submit.deployMode": "client",
        "spark.submit.pyFiles": f"{jobs}/lib/helpers.py",
        "spark.ui.port": "4040",
        "spark.ui.showConsoleProgress": "false",
    }
    assert found.environment == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "LC_ALL": "C",
        "https_proxy": "http://proxy",
        "JAVA_HOME": "/java",
        "SPARK_HOME": str(pyspark_home()),
        "SPARK_CONF_DIR": "/state/spark-runs/etl-x/conf",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": "/state/spark-runs/etl-x/local",
        "PYSPARK_PYTHON": "/env/bin/python",
        "PYSPARK_DRIVER_PYTHON": "/env/bin/python",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": "/state/spark-runs/etl-x/tmp",
        "MODE": "test",
        "KEY": "AKIA",
        "SECRET": "hunter2-hunter2",
        "POD": "etl-driver",
    }
    assert found.not_applied == ()
    assert found.redacted == ("hunter2-hunter2",)


def test_no_secret_is_in_the_command_the_properties_or_a_repr(settings: LocalSettings) -> None:
    found = planned(settings, driver={"envSecretKeyRefs": {"S": {"name": "aws-credentials", "key": "secret_key"}}})
    assert found.environment["S"] == "hunter2-hunter2"
    assert "hunter2" not in " ".join(found.argv) + render(found.properties) + repr(found)
    assert "of the shell" not in repr(settings)


def test_a_manifest_may_change_what_does_no_harm(settings: LocalSettings) -> None:
    conf = {
        "spark.ui.port": "7777",
        "spark.sql.warehouse.dir": "s3a://b/warehouse",
        "spark.eventLog.dir": "s3a://b/events",
        "spark.driver.memory": "3g",
        "spark.driver.cores": "3",
        "spark.driver.extraClassPath": "/mine.jar",
        "spark.driver.extraJavaOptions": "-Dkept=true",
        "spark.jars": "local:///opt/spark/jobs/extra.jar",
    }
    found = planned(settings, sparkConf=conf).properties
    assert {key: found[key] for key in list(conf)[:4]} == {key: conf[key] for key in list(conf)[:4]}
    assert found["spark.master"] == "local[3]"
    assert found["spark.driver.extraClassPath"] == "/mine.jar:/jars/a.jar:/jars/b.jar"
    assert found["spark.driver.extraJavaOptions"].endswith(" -Dkept=true")
    assert found["spark.jars"] == f"{settings.jobs_root.as_uri()}/extra.jar"


def test_a_manifest_may_not_change_where_the_driver_listens_or_writes(settings: LocalSettings) -> None:
    conf = {
        "spark.driver.host": "0.0.0.0",
        "spark.driver.bindAddress": "0.0.0.0",
        "spark.local.dir": "/mnt/nvme",
        "spark.eventLog.dir": "/mnt/events",
        "spark.pyspark.python": "/usr/bin/python3",
        "spark.kubernetes.driver.limit.cores": "1",
        "spark.submit.deployMode": "cluster",
    }
    found = planned(settings, sparkConf=conf)
    assert found.properties["spark.driver.host"] == found.properties["spark.driver.bindAddress"] == "127.0.0.1"
    assert found.properties["spark.eventLog.dir"] == "file:///state/spark-events"
    assert found.properties["spark.submit.deployMode"] == "client"
    assert not {"spark.local.dir", "spark.pyspark.python", "spark.kubernetes.driver.limit.cores"} & set(
        found.properties
    )
    assert found.not_applied == tuple(f"sparkConf {key}" for key in conf)


def test_a_manifest_may_not_change_java_spark_or_python(settings: LocalSettings) -> None:
    names = ("JAVA_HOME", "SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_PYTHON", "PATH", "TMPDIR")
    found = planned(
        settings, driver={"envVars": dict.fromkeys(names, "/in/the/image"), "env": [{"name": "HOME", "value": "/h"}]}
    )
    assert "/in/the/image" not in found.environment.values()
    assert found.environment["HOME"] == "/h"


def test_the_drivers_variables_win_over_the_executors(settings: LocalSettings) -> None:
    found = planned(
        settings,
        executor={"envVars": {"A": "executor", "B": "executor"}, "env": [{"name": "C", "value": "executor"}]},
        driver={"envVars": {"B": "vars", "C": "vars"}, "env": [{"name": "C", "value": "env"}, {"name": "D"}]},
    )
    assert {key: found.environment[key] for key in "ABCD"} == {"A": "executor", "B": "vars", "C": "env", "D": ""}


def test_fields_of_kubernetes_are_named_once(settings: LocalSettings) -> None:
    found = planned(
        settings,
        image="x:1",
        volumes=[{"name": "v", "emptyDir": {}}],
        restartPolicy={"type": "Never"},
        monitoring={"exposeDriverMetrics": True, "exposeExecutorMetrics": True},
        nodeSelector={},
        sparkVersion="3.5.1",
        driver={
            "serviceAccount": "spark",
            "tolerations": [{"operator": "Exists"}],
            "envFrom": [{"secretRef": {"name": "s"}}],
            "env": [
                {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": True}}},
            ],
        },
        executor={"instances": 3, "memory": "4g"},
    )
    assert found.not_applied == (
        "spec.sparkVersion 3.5.1 (here is 4.2.0)",
        "spec.image",
        "spec.volumes",
        "spec.restartPolicy",
        "spec.monitoring",
        "spec.driver.serviceAccount",
        "spec.driver.tolerations",
        "spec.executor.instances",
        "spec.executor.memory",
        "spec.driver.envFrom[0].secretRef: use env or envSecretKeyRefs",
        "spec.driver.env[0].valueFrom.configMapKeyRef (X)",
        "spec.driver.env[1].valueFrom.secretKeyRef: optional, and not found here",
    )


def test_a_schedule_is_not_applied() -> None:
    document = application().to_dict()
    document |= {"kind": "ScheduledSparkApplication", "spec": {"schedule": "@daily", "template": document["spec"]}}
    assert not_applied(load(document)) == ["the schedule (the template runs once)"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "R", "mainApplicationFile": "local:///x.R"}, "spec.type: R applications cannot run here"),
        ({"driver": {"envVars": {"A=B": "x"}}}, "spec.driver.envVars: 'A=B' is no name of an environment variable"),
        (
            {"driver": {"envSecretKeyRefs": {"S": {"name": "nope", "key": "k"}}}},
            "spec.driver.envSecretKeyRefs.S: Secret nope, key k: no such connection",
        ),
        (
            {"deps": {"jars": ["local:///opt/spark/jobs/no.jar"]}},
            r"spec.deps.jars\[0\]: .*my jobs/no.jar on this machine",
        ),
    ],
)
def test_what_cannot_run_here_is_named(settings: LocalSettings, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(SubmitError, match=message):
        planned(settings, **spec)


def test_other_image_folder_for_jobs_and_an_ivy_file(settings: LocalSettings) -> None:
    other = replace(settings, image_jobs_root=PurePosixPath("/app"), ivy_settings="/ivy.xml", jars=())
    found = planned(other, mainApplicationFile="local:///app/etl.py")
    assert found.argv[-1].endswith("/my%20jobs/etl.py")
    assert found.properties["spark.jars.ivySettings"] == "/ivy.xml"
    assert "spark.driver.extraClassPath" not in found.properties


def test_a_state_folder_with_spaces_and_quotes(settings: LocalSettings) -> None:
    found = plan(application(), settings, Path('/a "b"/c'), 4040)
    assert found.properties["spark.driver.extraJavaOptions"].startswith('"-Djava.io.tmpdir=/a \\"b\\"/c/tmp" ')
