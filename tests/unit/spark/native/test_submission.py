"""The plan of a submission to a cluster, whole, and what decides its parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bigdata.spark.driver import pod_template
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load
from bigdata.spark.native.submission import Place, Submission, plan, properties
from bigdata.spark.submit.conf import render

RUN = Path("/state/run")
PLACE = Place(
    "https://api:6443",
    "jobs",
    RUN,
    Path("/java"),
    Path("/spark"),
    kubeconfig="token: hunter2",
    environ={"PATH": "/bin", "HOME": "/h", "KUBECONFIG": "/mine", "SPARK_CONF_DIR": "/mine", "AWS_PROFILE": "mine"},
)


# What the manifest says of driver and executor alike.
POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


def application(**spec: Any) -> Application:
    base = load(Path(__file__).parents[4] / "spark_jobs" / "spark_pi.yaml")
    return base.with_spec(**spec)


def planned(**spec: Any) -> Submission:
    return plan(application(**spec), PLACE, render)


def template(role: str, **spec: Any) -> dict[str, Any]:
    return pod_template.make(role, application(**spec).spec)


def test_the_whole_plan_of_spark_pi() -> None:
    found = planned()
    assert found.argv == (
        "/spark/bin/spark-submit",
        "--properties-file",
        "/state/run/spark.properties",
        "local:///opt/spark/examples/src/main/python/pi.py",
        "10",
    )
    assert found.environment == {
        "PATH": "/bin",
        "HOME": "/h",
        "JAVA_HOME": "/java",
        "SPARK_HOME": "/spark",
        "SPARK_CONF_DIR": "/state/run/conf",
        "KUBECONFIG": "/state/run/kubeconfig",
    }
    assert found.driver_pod == "spark-pi-driver"
    assert found.not_applied == ()
    assert {path.name for path in found.files} == {"kubeconfig", "driver.json", "executor.json", "spark.properties"}
    # Spark copies the files of SPARK_CONF_DIR into a config map.
    assert not [path for path in found.files if path.parent == PLACE.conf_dir]
    assert json.loads(found.files[RUN / "driver.json"]) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {
            "securityContext": POD,
            "containers": [{"name": "spark-kubernetes-driver", "securityContext": CONTAINER}],
        },
    }
    assert found.files[RUN / "spark.properties"].splitlines() == [
        "spark.app.name=spark-pi",
        "spark.driver.cores=1",
        "spark.driver.memory=512m",
        "spark.executor.cores=1",
        "spark.executor.instances=1",
        "spark.executor.memory=512m",
        "spark.kubernetes.authenticate.driver.serviceAccountName=spark",
        "spark.kubernetes.container.image=bigdata/spark:4.2.0",
        "spark.kubernetes.container.image.pullPolicy=IfNotPresent",
        "spark.kubernetes.driver.label.airflow-bigdata/application=spark-pi",
        "spark.kubernetes.driver.pod.name=spark-pi-driver",
        "spark.kubernetes.driver.podTemplateContainerName=spark-kubernetes-driver",
        "spark.kubernetes.driver.podTemplateFile=/state/run/driver.json",
        "spark.kubernetes.driver.request.cores=100m",
        "spark.kubernetes.driver.volumes.emptyDir.tmp.mount.path=/tmp",
        "spark.kubernetes.executor.label.airflow-bigdata/application=spark-pi",
        "spark.kubernetes.executor.podTemplateContainerName=spark-kubernetes-executor",
        "spark.kubernetes.executor.podTemplateFile=/state/run/executor.json",
        "spark.kubernetes.executor.request.cores=100m",
        "spark.kubernetes.executor.volumes.emptyDir.tmp.mount.path=/tmp",
        "spark.kubernetes.namespace=jobs",
        "spark.kubernetes.submission.waitAppCompletion=false",
        "spark.master=k8s://https://api:6443",
        "spark.submit.deployMode=cluster",
    ]


def test_no_credential_is_in_the_command_the_properties_or_a_repr() -> None:
    found = planned()
    assert found.files[RUN / "kubeconfig"] == "token: hunter2"
    assert "hunter2" not in " ".join(found.argv) + found.files[RUN / "spark.properties"] + repr(found) + repr(PLACE)


def test_a_field_of_the_spec_wins_over_the_property_of_the_same_meaning() -> None:
    found = properties(
        application(
            sparkConf={"spark.driver.memory": "9g", "spark.x": "kept", "spark.kubernetes.namespace": "other"},
            hadoopConf={"fs.s3a.endpoint": "http://s3"},
            deps={"jars": ["local:///a.jar", "s3a://b/c.jar"], "packages": ["g:a:1"], "pyFiles": ["local:///x.py"]},
            dynamicAllocation={"enabled": True, "minExecutors": 1, "maxExecutors": 3},
            imagePullSecrets=["one", "two"],
            memoryOverheadFactor="0.2",
            hadoopConfigMap="hadoop",
        ),
        "jobs",
    )
    expected = {
        "spark.driver.memory": "512m",
        "spark.x": "kept",
        "spark.kubernetes.namespace": "jobs",
        "spark.hadoop.fs.s3a.endpoint": "http://s3",
        "spark.jars": "local:///a.jar,s3a://b/c.jar",
        "spark.jars.packages": "g:a:1",
        "spark.submit.pyFiles": "local:///x.py",
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.minExecutors": "1",
        "spark.dynamicAllocation.maxExecutors": "3",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.kubernetes.container.image.pullSecrets": "one,two",
        "spark.kubernetes.memoryOverheadFactor": "0.2",
        "spark.kubernetes.hadoop.configMapName": "hadoop",
    }
    assert {key: found.get(key) for key in expected} == expected


def test_driver_and_executor_fields() -> None:
    pod = {
        "coreLimit": "2",
        "memoryOverhead": "300m",
        "image": "other:1",
        "javaOptions": "-Da=b",
        "annotations": {"prometheus.io/scrape": "true"},
        "labels": {"tier": "x"},
        "envVars": {"A": "vars", "B": "vars"},
        "env": [{"name": "B", "value": "env"}],
        "envSecretKeyRefs": {"KEY": {"name": "keys", "key": "key"}},
        "secrets": [{"name": "gcp", "path": "/mnt/gcp/", "secretType": "GCPServiceAccount"}],
    }
    chosen = application(
        driver={**pod, "serviceLabels": {"s": "l"}, "kubernetesMaster": "k8s://https://in"},
        executor={**pod, "deleteOnTermination": False, "serviceAccount": "runner"},
    ).with_labels({"team": "a"})
    found = properties(chosen, "jobs")
    for role, env in (("driver", "spark.kubernetes.driverEnv."), ("executor", "spark.executorEnv.")):
        expected = {
            f"spark.kubernetes.{role}.limit.cores": "2",
            f"spark.{role}.memoryOverhead": "300m",
            f"spark.kubernetes.{role}.container.image": "other:1",
            f"spark.{role}.extraJavaOptions": "-Da=b",
            f"spark.kubernetes.{role}.annotation.prometheus.io/scrape": "true",
            f"spark.kubernetes.{role}.label.tier": "x",
            f"spark.kubernetes.{role}.label.team": "a",
            f"spark.kubernetes.{role}.secretKeyRef.KEY": "keys:key",
            f"spark.kubernetes.{role}.secrets.gcp": "/mnt/gcp/",
            f"{env}A": "vars",
            f"{env}GOOGLE_APPLICATION_CREDENTIALS": "/mnt/gcp/key.json",
        }
        assert {key: found.get(key) for key in expected} == expected
        # Set in both places: env wins, which the template carries.
        assert f"{env}B" not in found
    assert found["spark.kubernetes.driver.service.label.s"] == "l"
    assert found["spark.kubernetes.driver.master"] == "k8s://https://in"
    assert found["spark.kubernetes.executor.deleteOnTermination"] == "false"
    assert found["spark.kubernetes.authenticate.executor.serviceAccountName"] == "runner"


def test_what_has_no_property_goes_into_the_pod_template() -> None:
    found = template(
        "driver",
        volumes=[{"name": "data", "emptyDir": {}}, {"name": "not-mounted", "emptyDir": {}}],
        nodeSelector={"disk": "ssd"},
        driver={
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}],
            "envFrom": [{"secretRef": {"name": "s"}}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "configMaps": [{"name": "my.settings", "path": "/etc/my"}],
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "securityContext": {"runAsUser": 1000},
            "podSecurityContext": {"fsGroup": 185},
            "sidecars": [{"name": "helper", "image": "x"}],
            "initContainers": [{"name": "fetch", "image": "x"}],
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 5,
            "gpu": {"name": "nvidia.com/gpu", "quantity": 2},
            "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
        },
    )
    spec = found["spec"]
    own, helper = spec["containers"]
    assert own == {
        "name": "spark-kubernetes-driver",
        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}],
        "envFrom": [{"secretRef": {"name": "s"}}],
        "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
        "securityContext": {**CONTAINER, "runAsUser": 1000},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "my-settings-vol", "mountPath": "/etc/my"}],
        "resources": {"limits": {"nvidia.com/gpu": "2"}},
    }
    assert helper == {"name": "helper", "image": "x"}
    del spec["containers"]
    assert spec == {
        "affinity": {"nodeAffinity": {}},
        "dnsPolicy": "ClusterFirstWithHostNet",
        "hostNetwork": True,
        "initContainers": [{"name": "fetch", "image": "x"}],
        "nodeSelector": {"disk": "ssd"},
        "securityContext": {**POD, "fsGroup": 185},
        "terminationGracePeriodSeconds": 5,
        "tolerations": [{"operator": "Exists"}],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "my-settings-vol", "configMap": {"name": "my.settings"}},
        ],
    }


def test_a_template_of_the_user_is_the_base() -> None:
    given = {
        "metadata": {"annotations": {"a": "b"}},
        "spec": {
            "containers": [
                {"name": "side"},
                {"name": "spark-kubernetes-executor", "env": [{"name": "X", "value": "1"}]},
            ],
            "nodeSelector": {"zone": "a"},
            "runtimeClassName": "gvisor",
        },
    }
    found = template(
        "executor", executor={"template": given, "env": [{"name": "Y", "value": "2"}], "nodeSelector": {"disk": "ssd"}}
    )
    assert found["metadata"] == {"annotations": {"a": "b"}}
    assert found["spec"]["runtimeClassName"] == "gvisor"
    assert found["spec"]["nodeSelector"] == {"zone": "a", "disk": "ssd"}
    assert found["spec"]["containers"] == [
        {
            "name": "spark-kubernetes-executor",
            "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
            "securityContext": CONTAINER,
        },
        {"name": "side"},
    ]


def test_what_only_the_operator_can_do_is_named() -> None:
    found = planned(
        mode="client",
        restartPolicy={"type": "OnFailure", "onFailureRetries": 2},
        monitoring={"exposeDriverMetrics": True, "exposeExecutorMetrics": True},
        timeToLiveSeconds=60,
        suspend=False,
        driver={"memoryLimit": "2Gi"},
    )
    assert found.not_applied == (
        "spec.mode client (a native submission is always cluster)",
        "spec.restartPolicy",
        "spec.monitoring",
        "spec.timeToLiveSeconds",
        "spec.driver.memoryLimit",
    )


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_every_field_of_the_crd_is_applied_or_named(role: str) -> None:
    from bigdata.spark.manifest import schema
    from bigdata.spark.native import submission

    known = submission._APPLIED_POD
    left = {name for name in schema.fields(role) if name not in known}
    assert left == {"memoryLimit"}


def test_a_class_and_a_proxy_user() -> None:
    found = planned(
        type="Java", mainApplicationFile="local:///x.jar", mainClass="Main", proxyUser="me", arguments=["a b"]
    )
    assert found.argv[3:] == ("--proxy-user", "me", "--class", "Main", "local:///x.jar", "a b")
