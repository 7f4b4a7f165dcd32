"""The plan of ``spark-submit --master k8s://``: command, properties and pod templates, as a pure function of the
manifest.

It does what the operator does with the same manifest: the properties are those that the operator passes, and the pod
templates carry what its webhook adds. Secrets stay references to the cluster's Secrets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bigdata.spark.driver import pod_template
from bigdata.spark.manifest.application import DRIVER_POD, Application
from bigdata.spark.manifest.rules import hadoop_conf
from bigdata.spark.naming import APPLICATION
from bigdata.spark.submit import environment

_APPLIED = frozenset(
    ("type", "mainApplicationFile", "mainClass", "arguments", "sparkConf", "hadoopConf", "deps", "driver", "executor")
) | {"image", "imagePullPolicy", "imagePullSecrets", "sparkVersion", "pythonVersion", "proxyUser", "nodeSelector"}
_APPLIED |= {"volumes", "dynamicAllocation", "memoryOverheadFactor", "hadoopConfigMap", "mode"}

_SPEC = {
    "image": "spark.kubernetes.container.image",
    "imagePullPolicy": "spark.kubernetes.container.image.pullPolicy",
    "imagePullSecrets": "spark.kubernetes.container.image.pullSecrets",
    "memoryOverheadFactor": "spark.kubernetes.memoryOverheadFactor",
    "hadoopConfigMap": "spark.kubernetes.hadoop.configMapName",
}
_DEPS = {
    "jars": "spark.jars",
    "pyFiles": "spark.submit.pyFiles",
    "files": "spark.files",
    "archives": "spark.archives",
    "packages": "spark.jars.packages",
    "excludePackages": "spark.jars.excludes",
    "repositories": "spark.jars.repositories",
}
# {} is the role.
_POD = {
    "image": "spark.kubernetes.{}.container.image",
    "cores": "spark.{}.cores",
    "coreRequest": "spark.kubernetes.{}.request.cores",
    "coreLimit": "spark.kubernetes.{}.limit.cores",
    "memory": "spark.{}.memory",
    "memoryOverhead": "spark.{}.memoryOverhead",
    "serviceAccount": "spark.kubernetes.authenticate.{}.serviceAccountName",
    "javaOptions": "spark.{}.extraJavaOptions",
    "kubernetesMaster": "spark.kubernetes.{}.master",
    "instances": "spark.{}.instances",
    "deleteOnTermination": "spark.kubernetes.{}.deleteOnTermination",
}
_POD_MAPS = {
    "labels": "spark.kubernetes.{}.label.",
    "annotations": "spark.kubernetes.{}.annotation.",
    "serviceLabels": "spark.kubernetes.{}.service.label.",
    "serviceAnnotations": "spark.kubernetes.{}.service.annotation.",
}
_ENV = {"driver": "spark.kubernetes.driverEnv.", "executor": "spark.executorEnv."}
_SECRET_FILES = {
    "GCPServiceAccount": ("GOOGLE_APPLICATION_CREDENTIALS", "key.json"),
    "HadoopDelegationToken": ("HADOOP_TOKEN_FILE_LOCATION", "hadoop.token"),
}
_ALLOCATION = {
    "initialExecutors": "spark.dynamicAllocation.initialExecutors",
    "minExecutors": "spark.dynamicAllocation.minExecutors",
    "maxExecutors": "spark.dynamicAllocation.maxExecutors",
    "shuffleTrackingEnabled": "spark.dynamicAllocation.shuffleTracking.enabled",
    "shuffleTrackingTimeout": "spark.dynamicAllocation.shuffleTracking.timeout",
}
_APPLIED_POD = frozenset((*_POD, *_POD_MAPS, "envVars", "envSecretKeyRefs", "secrets", "podName")) | pod_template.FIELDS


@dataclass(frozen=True)
class Submission:
    """One spark-submit to a cluster.

    :param files: what to write first, private to the owner.
    :param not_applied: fields of the manifest that a submission without the operator cannot express.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    files: Mapping[Path, str] = field(repr=False)
    driver_pod: str
    not_applied: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where and with what a submission runs.

    :param api_server: its URL.
    :param run_dir: a folder of its own for this submission.
    :param kubeconfig: the text of a kubeconfig with the credentials to submit with.
    :param environ: the environment of this process; see :mod:`bigdata.spark.submit.environment` for what is passed on.
    """

    api_server: str
    namespace: str
    run_dir: Path
    java_home: Path
    spark_home: Path
    kubeconfig: str = field(default="", repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def conf_dir(self) -> Path:
        """A folder that must exist and stay empty."""
        return self.run_dir / "conf"


def plan(application: Application, place: Place, render: Any) -> Submission:
    """Plan a submission.

    :param render: makes a properties file's text of a mapping.
    """
    spec, run_dir = application.spec, place.run_dir
    found = properties(application, place.namespace)
    found["spark.master"] = f"k8s://{place.api_server}"
    files = {run_dir / "kubeconfig": place.kubeconfig}
    for role, container in pod_template.CONTAINERS.items():
        file = run_dir / f"{role}.json"
        files[file] = json.dumps(pod_template.make(role, spec))
        found[f"spark.kubernetes.{role}.podTemplateFile"] = str(file)
        found[f"spark.kubernetes.{role}.podTemplateContainerName"] = container
    files[run_dir / "spark.properties"] = render(found)
    argv = [str(place.spark_home / "bin" / "spark-submit"), "--properties-file", str(run_dir / "spark.properties")]
    argv += ["--proxy-user", spec["proxyUser"]] if spec.get("proxyUser") else []
    argv += ["--class", spec["mainClass"]] if spec.get("mainClass") else []
    argv += [spec["mainApplicationFile"], *(spec.get("arguments") or [])]
    own = {
        "PATH": place.environ.get("PATH", "/usr/bin:/bin"),
        "JAVA_HOME": str(place.java_home),
        "SPARK_HOME": str(place.spark_home),
        # An empty folder: Spark copies all that lies in it into the driver's config map, for everybody to read.
        "SPARK_CONF_DIR": str(place.conf_dir),
        "KUBECONFIG": str(run_dir / "kubeconfig"),
    }
    environ = environment.inherited(place.environ) | own
    return Submission(tuple(argv), environ, files, application.driver_pod, tuple(_left_out(application)))


def properties(application: Application, namespace: str) -> dict[str, str]:
    """The properties of a submission, without those that name files of this machine."""
    spec = application.spec
    found = {
        **(spec.get("sparkConf") or {}),
        **{f"spark.hadoop.{key}": value for key, value in hadoop_conf(spec).items()},
        **_mapped(spec, _SPEC),
        **_mapped(spec.get("deps") or {}, _DEPS),
        **_allocation(spec.get("dynamicAllocation") or {}),
        "spark.app.name": application.name,
        "spark.submit.deployMode": "cluster",
        "spark.kubernetes.namespace": namespace,
        DRIVER_POD: application.driver_pod,
        # The pod itself is followed; spark-submit's exit code says nothing about the driver's.
        "spark.kubernetes.submission.waitAppCompletion": "false",
    }
    for role in pod_template.CONTAINERS:
        pod = spec.get(role) or {}
        labels = {**application.labels, **(pod.get("labels") or {}), APPLICATION: application.name}
        found |= _mapped(pod, {key: name.format(role) for key, name in _POD.items()})
        for key, prefix in _POD_MAPS.items():
            values = labels if key == "labels" else pod.get(key) or {}
            found |= {f"{prefix.format(role)}{name}": value for name, value in values.items()}
        found |= dict(_environment(pod, role))
    return found


def _mapped(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    return {name: _text(values[key]) for key, name in names.items() if values.get(key) not in (None, "", [], {})}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _environment(pod: Mapping[str, Any], role: str) -> Iterator[tuple[str, str]]:
    # Of a variable set in both, env wins; in a pod the later one does, and Spark puts a template's first.
    named = {item["name"] for item in pod.get("env") or []}
    for key, value in (pod.get("envVars") or {}).items():
        if key not in named:
            yield f"{_ENV[role]}{key}", value
    for key, ref in (pod.get("envSecretKeyRefs") or {}).items():
        yield f"spark.kubernetes.{role}.secretKeyRef.{key}", f"{ref['name']}:{ref['key']}"
    for secret in pod.get("secrets") or []:
        yield f"spark.kubernetes.{role}.secrets.{secret['name']}", secret["path"]
        if file := _SECRET_FILES.get(secret["secretType"]):
            yield f"{_ENV[role]}{file[0]}", f"{secret['path'].rstrip('/')}/{file[1]}"


def _allocation(given: Mapping[str, Any]) -> dict[str, str]:
    if not given.get("enabled"):
        return {}
    # Without an external shuffle service, which Kubernetes has none of, Spark needs the tracking.
    return {"spark.dynamicAllocation.enabled": "true"} | _mapped({"shuffleTrackingEnabled": True, **given}, _ALLOCATION)


def _left_out(application: Application) -> Iterator[str]:
    spec = application.spec
    if application.is_scheduled:
        yield "the schedule (the template runs once)"
    if spec.get("mode") == "client":
        yield "spec.mode client (a native submission is always cluster)"
    yield from (f"spec.{key}" for key in spec if key not in _APPLIED and not _is_default(key, spec[key]))
    for role in pod_template.CONTAINERS:
        yield from (f"spec.{role}.{key}" for key in spec.get(role) or {} if key not in _APPLIED_POD)


def _is_default(key: str, value: Any) -> bool:
    return value in (None, {}, [], False) or (key == "restartPolicy" and value.get("type", "Never") == "Never")
