"""The provider's form of template_spec, as existing DAGs have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import models as k8s

from bigdata.errors import ManifestError
from bigdata.spark.manifest import load

PI = load(Path(__file__).parents[3] / "spark_jobs" / "spark_pi.yaml").to_dict()


def test_the_extras_reach_driver_and_executor() -> None:
    application = load(
        {
            "spark": PI,
            "kubernetes": {
                "in_cluster": True,
                "kube_config_file": "",
                "env_vars": {"MODE": "test"},
                "image_pull_secrets": "one,two",
                "volumes": [k8s.V1Volume(name="data", empty_dir=k8s.V1EmptyDirVolumeSource())],
                "volume_mounts": [k8s.V1VolumeMount(name="data", mount_path="/data")],
                "config_map_mounts": {"settings": "/etc/settings"},
                "from_env_config_map": ["env"],
                "from_env_secret": ["secret-env"],
                "tolerations": [{"key": "spot", "operator": "Exists"}],
                "node_selector": {"disk": "ssd"},
                "affinity": {},
            },
        }
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
    assert spec["driver"]["memory"] == "512m"


def test_the_wrapped_form_is_not_changed() -> None:
    data: dict[str, Any] = {"spark": PI, "kubernetes": {"env_vars": {"A": "b"}}}
    before = repr(data)
    load(data)
    assert repr(data) == before


def test_it_may_be_text_too() -> None:
    import yaml

    text = yaml.safe_dump({"spark": PI})
    assert load(text).to_dict() == PI
    with pytest.raises(ManifestError, match=r"spec.driver.memory: .* \(line \d+\)"):
        load(text.replace("memory: 512m", "memory: 512x", 1))


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"spark": PI, "kube": {}}, "kube"),
        ({"spark": PI, "kubernetes": []}, None),
        ({"spark": PI, "kubernetes": ["x"]}, "kubernetes"),
        ({"spark": PI, "kubernetes": {"envvars": {}}}, "kubernetes.envvars"),
        ({"spark": PI, "kubernetes": {"from_env_secret": 7}}, "kubernetes"),
        ({"spark": PI, "kubernetes": {"env_vars": {"A": 1}}}, "spec.driver.env[0].value"),
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
