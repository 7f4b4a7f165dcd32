"""The environment of a local driver: what the manifest declares, with its secrets, and little of this process's own.

A driver in a cluster sees nothing of a user's shell or of Airflow's settings, and neither does it here: only what a
process needs to work on this machine (paths, locale, proxies, certificates) is passed on. No SPARK_*, HADOOP_*,
PYTHON* or AIRFLOW* variable is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from bigdata.errors import BigdataError, SubmitError

Secrets = Callable[[str, str], str]

_PASSED_ON = re.compile(
    r"HOME|USER|LOGNAME|SHELL|TERM|TZ|LANG|LANGUAGE|LC_\w+|JAVA_TOOL_OPTIONS|(DY)?LD_LIBRARY_PATH"
    r"|(?i:(http|https|no|all)_proxy)|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
)
_FORBIDDEN_NAME = re.compile(r"[=\s]|^$")


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of this process's environment that a driver gets."""
    return {key: value for key, value in environ.items() if _PASSED_ON.fullmatch(key)}


class Declared:
    """The environment that a manifest declares, in the order in which Kubernetes lets one win over the other.

    Tasks run in the driver's process here, so the executors' variables count too, and the driver's win over them.

    :param values: name to value, secrets resolved.
    :param secret_names: those of them that came from a Secret.
    :param not_applied: what has no counterpart here, for the log.
    """

    def __init__(self, spec: Mapping[str, Any], name: str, namespace: str, secrets: Secrets) -> None:
        self.values: dict[str, str] = {}
        self.secret_names: set[str] = set()
        self.not_applied: list[str] = []
        self._secrets = secrets
        self._fields = {
            "metadata.name": f"{name}-driver",
            "metadata.namespace": namespace,
            "status.podIP": "127.0.0.1",
            "status.hostIP": "127.0.0.1",
        }
        for role in ("executor", "driver"):
            self._add(spec.get(role) or {}, f"spec.{role}")

    def _add(self, pod: Mapping[str, Any], at: str) -> None:
        for index, source in enumerate(pod.get("envFrom") or []):
            kind = "secretRef" if "secretRef" in source else "configMapRef"
            self.not_applied.append(f"{at}.envFrom[{index}].{kind}: use env or envSecretKeyRefs")
        for key, ref in (pod.get("envSecretKeyRefs") or {}).items():
            self._set(key, self._secret(ref, f"{at}.envSecretKeyRefs.{key}"), f"{at}.envSecretKeyRefs", secret=True)
        for key, value in (pod.get("envVars") or {}).items():
            self._set(key, value, f"{at}.envVars")
        for index, item in enumerate(pod.get("env") or []):
            self._add_item(item, f"{at}.env[{index}]")

    def _add_item(self, item: Mapping[str, Any], at: str) -> None:
        source = item.get("valueFrom")
        if not source:
            self._set(item["name"], item.get("value", ""), at)
        elif ref := source.get("secretKeyRef"):
            self._set(item["name"], self._secret(ref, f"{at}.valueFrom.secretKeyRef"), at, secret=True)
        elif (field := (source.get("fieldRef") or {}).get("fieldPath", "")) in self._fields:
            self._set(item["name"], self._fields[field], at)
        else:
            self.not_applied.append(f"{at}.valueFrom.{next(iter(source), '')} ({item['name']})")

    def _set(self, key: str, value: str | None, at: str, secret: bool = False) -> None:
        if _FORBIDDEN_NAME.search(key):
            raise SubmitError(f"{at}: {key!r} is no name of an environment variable")
        if value is None:
            return
        self.values[key] = value
        (self.secret_names.add if secret else self.secret_names.discard)(key)

    def _secret(self, ref: Mapping[str, Any], at: str) -> str | None:
        name, key = ref.get("name", ""), ref.get("key", "")
        try:
            return self._secrets(name, key)
        except BigdataError as error:
            if ref.get("optional"):
                self.not_applied.append(f"{at}: optional, and not found here")
                return None
            raise SubmitError(f"{at}: Secret {name}, key {key}: {error}") from error
