"""The form of ``template_spec`` that the provider's SparkKubernetesOperator takes: ``{"spark": manifest,
"kubernetes": extras}``.

The extras go where that operator puts them: into the driver's and the executor's fields. Its three keys that choose a
cluster (in_cluster, kube_config_file, cluster_context) are no part of an application; they are returned beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bigdata.errors import ManifestError

CLUSTER_KEYS = ("in_cluster", "kube_config_file", "cluster_context")
_POD_FIELDS = {
    "volume_mounts": "volumeMounts",
    "affinity": "affinity",
    "tolerations": "tolerations",
    "node_selector": "nodeSelector",
}
_ENV_KEYS = ("env_vars", "from_env_config_map", "from_env_secret", "config_map_mounts")
_KNOWN = frozenset((*CLUSTER_KEYS, *_POD_FIELDS, *_ENV_KEYS, "volumes", "image_pull_secrets"))


def is_wrapped(data: Any) -> bool:
    """Whether data has that form."""
    return isinstance(data, Mapping) and "spark" in data and "spec" not in data


def unwrap(data: Mapping[str, Any], source: str) -> tuple[Any, dict[str, Any]]:
    """The application with the extras merged in, and the keys that choose a cluster.

    :raises ManifestError: a key that the form does not have.
    """
    for key in data:
        if key not in ("spark", "kubernetes"):
            raise ManifestError(source, str(key), "is not part of {spark: ..., kubernetes: ...}")
    application, extras = data["spark"], data.get("kubernetes") or {}
    if not isinstance(extras, Mapping):
        raise ManifestError(source, "kubernetes", "must be a mapping")
    for key in extras:
        if key not in _KNOWN:
            raise ManifestError(source, f"kubernetes.{key}", f"is not known; known are {', '.join(sorted(_KNOWN))}")
    if isinstance(application, dict) and isinstance(application.get("spec"), dict):
        try:
            _merge(application["spec"], extras)
        except (TypeError, AttributeError, ValueError):
            raise ManifestError(
                source, "kubernetes", "has a value of a wrong type, or meets one in the application"
            ) from None
    return application, {key: extras[key] for key in CLUSTER_KEYS if extras.get(key)}


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
    for role in ("driver", "executor"):
        pod = spec.setdefault(role, {})
        pod.update(plain(fields))
        if env := extras.get("env_vars"):
            added = (
                [{"name": key, "value": value} for key, value in env.items()] if isinstance(env, Mapping) else list(env)
            )
            pod["env"] = [*(pod.get("env") or []), *plain(added)]


def _env_from(extras: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name in extras.get("from_env_config_map") or []:
        yield {"configMapRef": {"name": name}}
    for name in extras.get("from_env_secret") or []:
        yield {"secretRef": {"name": name}}
