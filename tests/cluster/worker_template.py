"""helm/custom_values.yaml's ``podTemplate``, rendered by helm without Airflow's chart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from .helm import helm

VALUES = Path(__file__).parents[2] / "helm" / "custom_values.yaml"
# What the template asks the chart for, as far as a worker without gitSync needs it.
HELPERS = """
{{ define "worker.serviceAccountName" }}{{ .Release.Name }}-worker{{ end }}
{{ define "image_pull_secrets" }}[]{{ end }}
{{ define "pod_template_image" }}{{ .Values.image }}{{ end }}
{{ define "container_extra_envs" }}{{ end }}
{{ define "custom_airflow_environment" }}{{ end }}
{{ define "airflow_config" }}{{ .Release.Name }}-config{{ end }}
{{ define "airflow_config_mount" }}
- {name: config, subPath: airflow.cfg, mountPath: {{ .Values.airflowHome }}/airflow.cfg}
{{ end }}
"""
# The chart's own values, where ours leave them as they are.
DEFAULTS: dict[str, Any] = {
    "airflowHome": "/opt/airflow",
    "images": {"pod_template": {"pullPolicy": "IfNotPresent"}},
    "workers": {"kubernetes": {"nodeSelector": {}, "affinity": {}, "tolerations": [], "labels": {}, "env": []}},
    "dags": {"gitSync": {"enabled": False}},
}


def worker(image: str, folder: Path) -> dict[str, Any]:
    """The pod of a worker of the release ``airflow``, with DAGs from the config map ``dags`` instead of git."""
    if not shutil.which("helm"):
        pytest.skip("helm is not on the PATH; it renders the workers' pod template")
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: airflow, version: 0.0.0}")
    (folder / "templates" / "_helpers.tpl").write_text(HELPERS)
    (folder / "templates" / "worker.yaml").write_text("{{ tpl .Values.podTemplate . }}")
    chosen = yaml.safe_load(VALUES.read_text())
    (folder / "values.yaml").write_text(json.dumps({**DEFAULTS, "image": image}))
    del chosen["dags"]
    (folder / "chosen.yaml").write_text(yaml.safe_dump(chosen))
    pod: dict[str, Any] = yaml.safe_load(helm("template", "airflow", str(folder), f"--values={folder / 'chosen.yaml'}"))
    pod["spec"]["volumes"].append({"name": "dags", "configMap": {"name": "dags"}})
    (container,) = pod["spec"]["containers"]
    container["volumeMounts"].append({"name": "dags", "mountPath": "/opt/airflow/dags"})
    return pod
