"""The form of ``template_spec`` that the provider's SparkKubernetesOperator takes: ``{"spark": manifest,
"kubernetes": extras}``.

The extras go where that operator puts them: into the driver's and the executor's fields. The keys that choose a
cluster are no part of an application; they are returned beside it. What has no effect there either is left out and
named, not refused: a template that runs there runs here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bigdata.errors import ManifestError
from bigdata.spark.manifest import container_resources

CLUSTER_KEYS = ("in_cluster", "kube_config_file", "cluster_context", "conn_id")
_POD_FIELDS = {
    "volume_mounts": "volumeMounts",
    "affinity": "affinity",
    "tolerations": "tolerations",
    "node_selector": "nodeSelector",
}
_ENV_KEYS = ("env_vars", "env_from", "from_env_config_map", "from_env_secret", "config_map_mounts")
_KNOWN = frozenset((*CLUSTER_KEYS, *_POD_FIELDS, *_ENV_KEYS, "volumes", "image_pull_secrets"))


@dataclass(frozen=True)
class Unwrapped:
    """What a template says.

    :param application: the manifest with the extras merged in.
    :param cluster: the keys that choose a cluster, by :data:`CLUSTER_KEYS`.
    :param dropped: fields that were left out.
    """

    application: Any
    cluster: dict[str, Any] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


def is_wrapped(data: Any) -> bool:
    """Whether data has that form."""
    return isinstance(data, Mapping) and "spark" in data and "spec" not in data


def unwrap(data: Mapping[str, Any], source: str) -> Unwrapped:
    """Take the form apart; the manifest in it is changed.

    :raises ManifestError: a value that cannot be what its key says.
    """
    application, extras = data["spark"], data.get("kubernetes") or {}
    if not isinstance(extras, Mapping):
        raise ManifestError(source, "kubernetes", "must be a mapping")
    dropped = [str(key) for key in data if key not in ("spark", "kubernetes")]
    dropped += [f"kubernetes.{key}{_hint(str(key))}" for key in extras if key not in _KNOWN]
    if isinstance(application, dict):
        dropped += _version(application)
        if isinstance(spec := application.get("spec"), dict):
            is_single = application.get("kind") == "SparkApplication"  # the other kind has this field
            if is_single and spec.pop("successfulRunHistoryLimit", None) is not None:
                dropped.append("spec.successfulRunHistoryLimit")
            if not isinstance(spec.get("labels") or {}, Mapping):
                raise ManifestError(source, "spec.labels", "must be a mapping")
            try:
                _merge(spec, extras)
            except (TypeError, AttributeError, ValueError):
                raise ManifestError(
                    source, "kubernetes", "has a value of a wrong type, or meets one in the application"
                ) from None
    return Unwrapped(application, {key: extras[key] for key in CLUSTER_KEYS if extras.get(key)}, tuple(dropped))


def sizes(application: Mapping[str, Any], source: str) -> list[str]:
    """Translate ``container_resources``, which that operator takes in a manifest without the form, too.

    :returns: what of it has no counterpart.
    :raises ManifestError: a value that is no size.
    """
    spec = application.get("spec")
    roles = {role: spec.get(role) for role in ("driver", "executor")} if isinstance(spec, dict) else {}
    return [
        part
        for role, pod in roles.items()
        if isinstance(pod, dict) and "container_resources" in pod
        for part in container_resources.translate(pod, source, f"spec.{role}")
    ]


def plain(value: Any, ancestors: tuple[int, ...] = ()) -> Any:
    """A value with the Kubernetes client's model objects, tuples and other mappings as plain data.

    :raises ValueError: the value contains itself.
    """
    if id(value) in ancestors:
        raise ValueError("contains itself")
    below = (*ancestors, id(value))
    if isinstance(value, Mapping):
        return {key: plain(item, below) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, below) for item in value]
    if isinstance(names := getattr(value, "attribute_map", None), dict):
        found = {name: plain(getattr(value, attribute), below) for attribute, name in names.items()}
        return {name: item for name, item in found.items() if item is not None}
    return value


def _hint(key: str) -> str:
    close = difflib.get_close_matches(key, _KNOWN, n=1, cutoff=0.8)
    return f" (did you mean {close[0]}?)" if close else ""


def _version(application: dict[str, Any]) -> list[str]:
    """Take out the API group and version as fields of their own, which that operator reads without an apiVersion."""
    found = {key: application.pop(key) for key in ("apiGroup", "version") if key in application}
    if not application.get("apiVersion") and len(found) == 2:
        application["apiVersion"] = f"{found['apiGroup']}/{found['version']}"
        return []
    return list(found)


def _merge(spec: dict[str, Any], extras: Mapping[str, Any]) -> None:
    mounts = extras.get("config_map_mounts") or {}
    volumes = [*(extras.get("volumes") or []), *({"name": name, "configMap": {"name": name}} for name in mounts)]
    if volumes:
        spec["volumes"] = volumes
    if secrets := extras.get("image_pull_secrets"):
        # One string with commas is the provider's form; the CRD's is a list.
        spec["imagePullSecrets"] = secrets.split(",") if isinstance(secrets, str) else secrets
    fields = {name: extras[key] for key, name in _POD_FIELDS.items() if extras.get(key)}
    if mounts:
        fields["volumeMounts"] = [
            *fields.get("volumeMounts", []),
            *({"name": name, "mountPath": at} for name, at in mounts.items()),
        ]
    if sources := list(_env_from(extras)):
        fields["envFrom"] = sources
    variables, labels = plain(list(_variables(extras))), spec.pop("labels", None) or {}
    for role in ("driver", "executor"):
        # A copy, as YAML's aliases make one of two.
        pod = spec[role] = dict(spec.get(role) or {})
        pod |= plain(fields)
        if variables:
            pod["env"] = [*(pod.get("env") or []), *variables]
        if labels:
            pod["labels"] = {**(pod.get("labels") or {}), **labels}


def _variables(extras: Mapping[str, Any]) -> Iterator[Any]:
    found = extras.get("env_vars") or []
    yield from ({"name": key, "value": value} for key, value in found.items()) if isinstance(found, Mapping) else found
    yield from (item for item in extras.get("env_from") or [] if _is_variable(item))


def _env_from(extras: Mapping[str, Any]) -> Iterator[Any]:
    yield from (item for item in extras.get("env_from") or [] if not _is_variable(item))
    for name in extras.get("from_env_config_map") or []:
        yield {"configMapRef": {"name": name}}
    for name in extras.get("from_env_secret") or []:
        yield {"secretRef": {"name": name}}


def _is_variable(item: Any) -> bool:
    """Whether an item of env_from is one of env, as the provider's documentation shows it."""
    return isinstance(item, Mapping) and "valueFrom" in item
