"""A checked SparkApplication, immutable: what every runtime takes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

# In sparkConf: the name of the driver's pod.
DRIVER_POD = "spark.kubernetes.driver.pod.name"


@dataclass(frozen=True)
class Application:
    """A document that :func:`bigdata.spark.manifest.loading.load` has checked; every ``with_...`` returns another one.

    :param source: the file it is from, for messages.
    :param cluster: what the provider's wrapped form says of the cluster: in_cluster, kube_config_file,
        cluster_context, conn_id.
    :param dropped: fields of that form that have no effect.
    """

    source: str
    _document: dict[str, Any] = field(repr=False)
    cluster: Mapping[str, Any] = field(default_factory=dict, repr=False)
    dropped: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``SparkApplication`` or ``ScheduledSparkApplication``."""
        return str(self._document["kind"])

    @property
    def is_scheduled(self) -> bool:
        """Whether it is a ScheduledSparkApplication; a runtime other than the operator runs its template, once."""
        return self.kind != "SparkApplication"

    @property
    def name(self) -> str:
        """The name in the metadata."""
        return str(self._document["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The namespace in the metadata; empty if it says none."""
        return str(self._document["metadata"].get("namespace", ""))

    @property
    def labels(self) -> dict[str, str]:
        """The labels in the metadata."""
        return dict(self._document["metadata"].get("labels", {}))

    @property
    def spec(self) -> dict[str, Any]:
        """A copy of the SparkApplicationSpec; of a ScheduledSparkApplication, its template."""
        spec = self._document["spec"]
        return copy.deepcopy(spec["template"] if self.is_scheduled else spec)

    @property
    def driver_pod(self) -> str:
        """The name that the driver's pod will have on a cluster."""
        spec = self.spec
        given = (spec.get("driver") or {}).get("podName") or (spec.get("sparkConf") or {}).get(DRIVER_POD)
        return str(given or f"{self.name}-driver")

    def to_dict(self) -> dict[str, Any]:
        """A copy of the whole document, as Kubernetes takes it."""
        return copy.deepcopy(self._document)

    def with_name(self, name: str) -> Self:
        """The same under another name.

        :raises ManifestError: the name is no DNS-1035 label, or too long.
        """
        return self._changed({"metadata": {"name": name}})

    def with_namespace(self, namespace: str) -> Self:
        """The same in another namespace.

        :raises ManifestError: no valid name of a namespace.
        """
        return self._changed({"metadata": {"namespace": namespace}})

    def with_labels(self, labels: Mapping[str, str]) -> Self:
        """The same with these labels added, to the application and to its driver and executors.

        :raises ManifestError: a label is not valid.
        """
        added = {"labels": dict(labels)}
        return self._changed({"metadata": added}).with_spec(driver=added, executor=added)

    def with_annotations(self, annotations: Mapping[str, str]) -> Self:
        """The same with these annotations added to the application.

        :raises ManifestError: an annotation is not valid.
        """
        return self._changed({"metadata": {"annotations": dict(annotations)}})

    def with_spec(self, **fields: Any) -> Self:
        """The same with these fields of the spec set; mappings are merged, everything else is replaced.

        :raises ManifestError: a field that does not exist, or a value that does not fit.
        """
        return self._changed({"spec": {"template": fields} if self.is_scheduled else fields})

    def with_registry(self, registry: str) -> Self:
        """The same with its images from this registry, where their names begin with none; empty changes nothing."""
        if not registry:
            return self
        spec = self.spec
        change: dict[str, Any] = {"image": image} if (image := _in_registry(spec, registry)) else {}
        for role in ("driver", "executor"):
            if image := _in_registry(spec.get(role) or {}, registry):
                change[role] = {"image": image}
        return self.with_spec(**change)

    def with_variable(self, name: str, value: str) -> Self:
        """The same with a variable in the environment of driver and executors, unless they set it themselves. It comes
        first, so that others can refer to it.
        """
        spec = self.spec
        added = {
            role: {"env": [{"name": name, "value": value}, *(pod.get("env") or [])]}
            for role, pod in ((role, spec.get(role) or {}) for role in ("driver", "executor"))
            if not _sets(pod, name)
        }
        return self.with_spec(**added)

    def with_schedule_defaults(self, fields: Mapping[str, Any]) -> Self:
        """The same with these fields of a ScheduledSparkApplication, where it does not set them itself.

        :raises ManifestError: a field that does not exist, or a value that does not fit.
        """
        return self._changed({"spec": {**fields, **self._document["spec"]}})

    def _changed(self, change: dict[str, Any]) -> Self:
        from bigdata.spark.manifest.loading import check

        return type(self)(self.source, check(_merged(self._document, change), self.source), self.cluster, self.dropped)


def _in_registry(fields: Mapping[str, Any], registry: str) -> str:
    """The image with the registry; empty without an image, or if it begins with a host: a dot, a port or localhost."""
    image = str(fields.get("image") or "")
    first, slash, _ = image.partition("/")
    has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return "" if not image or has_host else f"{registry}/{image}"


def _sets(pod: Mapping[str, Any], name: str) -> bool:
    named = {item.get("name") for item in pod.get("env") or []}
    return name in named | set(pod.get("envVars") or {}) | set(pod.get("envSecretKeyRefs") or {})


def _merged(base: Any, change: Any) -> Any:
    if isinstance(base, dict) and isinstance(change, dict):
        return {**base, **{key: _merged(base.get(key), value) for key, value in change.items()}}
    return copy.deepcopy(change)
