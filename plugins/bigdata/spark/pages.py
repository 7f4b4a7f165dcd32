"""Where a person looks at an application of the operator while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from bigdata.errors import ConfigError
from bigdata.spark.kubernetes import states

_FIELDS = ("namespace", "name", "pod", "application_id")
# Where a UI without an ingress is, once its service is forwarded.
FORWARDED = "http://localhost:4040"


class Page(StrEnum):
    """What there is to look at; the value is the link's text."""

    UI = "Spark UI"
    HISTORY = "History server"
    DRIVER_LOG = "Driver log"


def live(application: Mapping[str, Any], driver_log_url: str) -> dict[Page, str]:
    """The pages that answer now. A UI without an ingress is where :func:`port_forward` brings it.

    :param driver_log_url: see :func:`driver_log`.
    :raises ConfigError: that has fields that do not exist.
    """
    found = {Page.DRIVER_LOG: driver_log(application, driver_log_url)}
    if states.is_running(application):
        found[Page.UI] = ui(application) or (FORWARDED if port_forward(application) else "")
    return {page: url for page, url in found.items() if url}


def ui(application: Mapping[str, Any]) -> str:
    """The Spark UI's address by the operator's ingress; empty without one."""
    found = str(_driver(application).get("webUIIngressAddress") or "")
    return found if not found or "://" in found else f"http://{found.lstrip('/')}"


def port_forward(application: Mapping[str, Any]) -> str:
    """The command that makes the Spark UI answer at :func:`live`'s address; empty when it has no service."""
    service, port = _driver(application).get("webUIServiceName"), _driver(application).get("webUIPort") or 4040
    namespace = application["metadata"]["namespace"]
    return f"kubectl port-forward --namespace {namespace} service/{service} 4040:{port}" if service else ""


def driver_log(application: Mapping[str, Any], template: str) -> str:
    """The driver's log in the cluster's log store; empty before the driver has a pod.

    :param template: a URL with any of ``{namespace}``, ``{name}``, ``{pod}`` and ``{application_id}`` in it.
    :raises ConfigError: it has other fields.
    """
    pod = states.driver_pod(application)
    if not template or not pod:
        return ""
    known = {
        "namespace": application["metadata"]["namespace"],
        "name": application["metadata"]["name"],
        "pod": pod,
        "application_id": str((application.get("status") or {}).get("sparkApplicationId") or ""),
    }
    return filled(template, known)


def filled(template: str, known: Mapping[str, str] | None = None) -> str:
    """An address with its fields filled in; by nothing, to see whether it can be.

    :raises ConfigError: it has fields that do not exist.
    """
    values = {key: quote((known or {}).get(key, ""), safe="") for key in _FIELDS}
    try:
        return template.format(**values)
    except (KeyError, IndexError, ValueError):
        fields = ", ".join(f"{{{key}}}" for key in _FIELDS)
        raise ConfigError(f"[bigdata] driver_log_url = {template!r}: may have the fields {fields}") from None


def history(server: str, application_id: str) -> str:
    """The history server's page of an application; empty if one of the two is not known."""
    return f"{server.rstrip('/')}/history/{application_id}/" if server and application_id else ""


def _driver(application: Mapping[str, Any]) -> Mapping[str, Any]:
    return (application.get("status") or {}).get("driverInfo") or {}
