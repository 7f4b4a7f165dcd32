"""The provider's form of template_spec, as existing DAGs have it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from kubernetes.client import models as k8s

from bigdata.errors import ManifestError
from bigdata.spark.manifest.loading import load

from .forms import PI, wrap

# Every field that the template in the provider's guide has, with the values that stand there.
GUIDE = """
spark:
  apiVersion: sparkoperator.k8s.io/v1beta2
  version: v1beta2
  kind: SparkApplication
  apiGroup: sparkoperator.k8s.io
  metadata: {namespace: ds}
  spec:
    type: Python
    pythonVersion: "3"
    mode: cluster
    sparkVersion: 3.0.0
    successfulRunHistoryLimit: 1
    restartPolicy: {type: Never}
    imagePullPolicy: Always
    hadoopConf: {}
    imagePullSecrets: []
    dynamicAllocation: {enabled: false, initialExecutors: 1, minExecutors: 1, maxExecutors: 1}
    labels: {}
    driver:
      serviceAccount: default
      container_resources:
        gpu: {name: null, quantity: 0}
        cpu: {request: null, limit: null}
        memory: {request: null, limit: null}
    executor:
      instances: 1
      container_resources:
        gpu: {name: null, quantity: 0}
        cpu: {request: null, limit: null}
        memory: {request: null, limit: null}
kubernetes:
  env_vars: []
  env_from: []
  node_selector: {}
  affinity: {nodeAffinity: {}, podAffinity: {}, podAntiAffinity: {}}
  tolerations: []
  config_map_mounts: {}
  volume_mounts: []
  volumes: []
  from_env_config_map: []
  from_env_secret: []
  in_cluster: true
  conn_id: kubernetes_default
  kube_config_file: null
  cluster_context: null
"""


def test_the_template_of_the_providers_guide_is_taken_as_it_stands() -> None:
    job = {"image": "a:1", "mainApplicationFile": "local:///job.py"}
    application = load(GUIDE, default_name="job", spec=job)
    assert (application.namespace, application.name) == ("ds", "job")
    assert application.spec["image"] == "a:1"
    assert application.spec["driver"]["serviceAccount"] == "default"
    assert "container_resources" not in application.spec["driver"]
    assert application.cluster == {"in_cluster": True, "conn_id": "kubernetes_default"}
    assert set(application.dropped) == {"apiGroup", "version", "spec.successfulRunHistoryLimit"}
    assert application.with_name("other").dropped == application.dropped


def test_what_the_arguments_give_may_be_left_out_but_not_nothing() -> None:
    with pytest.raises(ManifestError) as caught:
        load(GUIDE, default_name="job")
    assert caught.value.field == "spec.mainApplicationFile"


def test_the_extras_reach_driver_and_executor() -> None:
    application = wrap(
        in_cluster=True,
        kube_config_file="",
        env_vars={"MODE": "test"},
        image_pull_secrets="one,two",
        volumes=[k8s.V1Volume(name="data", empty_dir=k8s.V1EmptyDirVolumeSource())],
        volume_mounts=[k8s.V1VolumeMount(name="data", mount_path="/data")],
        config_map_mounts={"settings": "/etc/settings"},
        from_env_config_map=["env"],
        from_env_secret=["secret-env"],
        tolerations=[{"key": "spot", "operator": "Exists"}],
        node_selector={"disk": "ssd"},
        affinity={},
    )
    spec = application.spec
    assert spec["imagePullSecrets"] == ["one", "two"]
    assert spec["volumes"] == [
        {"name": "data", "emptyDir": {}},
        {"name": "settings", "configMap": {"name": "settings"}},
    ]
    for role in ("driver", "executor"):
        pod = spec[role]
        assert pod["env"] == [{"name": "MODE", "value": "test"}]
        assert pod["envFrom"] == [{"configMapRef": {"name": "env"}}, {"secretRef": {"name": "secret-env"}}]
        assert [mount["mountPath"] for mount in pod["volumeMounts"]] == ["/data", "/etc/settings"]
        assert pod["tolerations"] == [{"key": "spot", "operator": "Exists"}]
        assert pod["nodeSelector"] == {"disk": "ssd"}
        assert "affinity" not in pod
    assert application.cluster == {"in_cluster": True}
    assert application.dropped == ()
    assert spec["driver"]["memory"] == "512m"


def test_env_from_comes_before_the_named_maps_and_secrets() -> None:
    own = k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name="own"), prefix="P_")
    variable = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "mongo", "key": "password"}}}
    spec = wrap(env_from=[own, variable], from_env_secret=["named"], env_vars=[k8s.V1EnvVar(name="A", value="b")]).spec
    for role in ("driver", "executor"):
        assert spec[role]["envFrom"] == [
            {"configMapRef": {"name": "own"}, "prefix": "P_"},
            {"secretRef": {"name": "named"}},
        ]
        # The guide shows a variable under env_from, where the API server would drop all of it.
        assert spec[role]["env"] == [{"name": "A", "value": "b"}, variable]


def test_labels_of_the_spec_are_those_of_both_roles() -> None:
    application = wrap({"labels": {"team": "a", "tier": "x"}, "driver": {"labels": {"tier": "y", "own": "z"}}})
    assert "labels" not in application.spec
    assert application.spec["driver"]["labels"] == {"team": "a", "tier": "x", "own": "z"}
    assert application.spec["executor"]["labels"] == {"team": "a", "tier": "x"}


def test_what_has_no_effect_is_dropped_and_named() -> None:
    data = {"spark": {**PI, "version": "v1beta2"}, "kubernetes": {"from_env_config": ["x"], "envvars": {}}, "other": 1}
    application = load(data)
    assert application.to_dict() == PI
    assert application.dropped == (
        "other",
        "kubernetes.from_env_config (did you mean from_env_config_map?)",
        "kubernetes.envvars (did you mean env_vars?)",
        "version",
    )


def test_group_and_version_may_stand_for_the_api_version() -> None:
    application = {key: value for key, value in PI.items() if key != "apiVersion"}
    found = load({"spark": {**application, "apiGroup": "sparkoperator.k8s.io", "version": "v1beta2"}})
    assert found.to_dict() == PI
    assert found.dropped == ()


def test_a_schedule_keeps_its_own_history_limit() -> None:
    schedule = {**PI, "kind": "ScheduledSparkApplication"}
    schedule["metadata"] = {"name": "pi"}
    schedule["spec"] = {"schedule": "@daily", "successfulRunHistoryLimit": 3, "template": PI["spec"]}
    found = load(schedule)
    assert found.to_dict()["spec"]["successfulRunHistoryLimit"] == 3
    assert found.dropped == ()


def test_a_plain_manifest_is_as_strict_as_ever() -> None:
    for field in ("labels", "successfulRunHistoryLimit"):
        application = copy.deepcopy(PI)
        application["spec"][field] = {"a": "b"}
        with pytest.raises(ManifestError) as caught:
            load(application)
        assert caught.value.field == f"spec.{field}"


def test_an_alias_shared_by_both_roles_gets_each_extra_once() -> None:
    text = """
    spark:
      apiVersion: sparkoperator.k8s.io/v1beta2
      kind: SparkApplication
      metadata: {name: pi}
      spec:
        type: Python
        sparkVersion: 4.2.0
        mainApplicationFile: local:///job.py
        driver: &role {cores: 1, env: [{name: A, value: a}], container_resources: {cpu: {limit: 2}}}
        executor: *role
    kubernetes: {env_vars: {B: b}}
    """
    spec = load(text).spec
    for role in ("driver", "executor"):
        assert [item["name"] for item in spec[role]["env"]] == ["A", "B"]
        assert spec[role]["coreLimit"] == "2"


def test_the_wrapped_form_is_not_changed() -> None:
    data: dict[str, Any] = yaml.safe_load(GUIDE)
    data["kubernetes"] |= {"env_vars": {"A": "b"}}
    before = copy.deepcopy(data)
    load(data, default_name="job", spec={"mainApplicationFile": "local:///job.py"})
    assert data == before


def test_it_may_be_text_too() -> None:
    text = yaml.safe_dump({"spark": PI})
    assert load(text).to_dict() == PI
    with pytest.raises(ManifestError, match=r"spec.driver.memory: .* \(line \d+\)"):
        load(text.replace("memory: 512m", "memory: 512x", 1))


def sized(**resources: Any) -> dict[str, Any]:
    spec = {**PI["spec"], "driver": {**PI["spec"]["driver"], "container_resources": resources}}
    return {"spark": {**PI, "spec": spec}}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"spark": PI, "kubernetes": []}, None),
        ({"spark": PI, "kubernetes": ["x"]}, "kubernetes"),
        ({"spark": PI, "kubernetes": {"from_env_secret": 7}}, "kubernetes"),
        ({"spark": PI, "kubernetes": {"env_vars": {"A": 1}}}, "spec.driver.env[0].value"),
        ({"spark": PI, "kubernetes": {"env_from": [{"name": "x"}]}}, "spec.driver.envFrom[0].name"),
        ({"spark": {**PI, "spec": {**PI["spec"], "labels": ["x"]}}}, "spec.labels"),
        (sized(memory={"limit": "a lot"}), "spec.driver.container_resources.memory.limit"),
        (sized(cpu={"request": "many"}), "spec.driver.coreRequest"),
        (sized(gpu={"name": "a", "quantity": "b"}), "spec.driver.container_resources.gpu.quantity"),
        (sized(cpu=4), "spec.driver.container_resources"),
        ({"spark": None}, ""),
        ({"spark": {**PI, "spec": None}}, "spec"),
    ],
)
def test_a_broken_form_is_named(data: Any, field: str | None) -> None:
    if field is None:
        load(data)
        return
    with pytest.raises(ManifestError) as caught:
        load(data)
    assert caught.value.field == field


def test_data_that_contains_itself_is_an_error() -> None:
    data: dict[str, Any] = {"spark": dict(PI)}
    data["spark"]["spec"] = data
    with pytest.raises(ManifestError, match="contains itself"):
        load(data)
