"""A Kafka cluster that Strimzi runs, as connection options: its addresses and certificates are in the Kafka resource's
status, a user's credentials in the Secret that the user operator makes.

What they say is read when a client is made, so that a certificate that Strimzi has renewed is used from the next task
on.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from bigdata.errors import ConfigError, StackError
from bigdata.kubernetes.errors import told
from bigdata.kubernetes.resources import Kind, Resources

KAFKA = Kind("kafka.strimzi.io", "v1", "Kafka", "kafkas")
TOPIC = Kind("kafka.strimzi.io", "v1", "KafkaTopic", "kafkatopics")

#: options of a connection that name a cluster instead of an address
OPTIONS = ("strimzi.cluster", "strimzi.namespace", "strimzi.listener", "strimzi.user")
_REQUEST_SECONDS = (10, 30)


def properties(
    api_client: Any, source: str, cluster: str, namespace: str, listener: str = "", user: str = ""
) -> dict[str, str]:
    """Options by Kafka's names for clients of one listener.

    :param api_client: a ``kubernetes.client.ApiClient``.
    :param source: of these names, for the error: a connection id.
    :param listener: its name. Default: ``tls`` for a user, ``plain`` without one.
    :param user: the KafkaUser; needed where the listener asks who is there.
    :raises ConfigError: there is no such listener, or it wants a user.
    :raises StackError: the cluster is not there or has no addresses yet, or the user has no credentials yet.
    :raises ClusterError: the API server does not answer, or does not let us look.
    """
    kafka = Resources(api_client, KAFKA, namespace).read(cluster)
    if kafka is None:
        raise StackError("kafka", f"there is no Kafka {namespace}/{cluster}", f"{source} names it: is it installed?")
    wanted = listener or ("tls" if user else "plain")
    spec = _named(kafka["spec"]["kafka"]["listeners"], wanted)
    if spec is None:
        names = ", ".join(item["name"] for item in kafka["spec"]["kafka"]["listeners"])
        raise ConfigError(f"{source}: Kafka {namespace}/{cluster} has no listener {wanted!r}; it has {names}")
    status = _named(kafka.get("status", {}).get("listeners", []), wanted)
    if status is None or not status.get("bootstrapServers"):
        hint = f"Look at: kubectl -n {namespace} get kafka {cluster}"
        raise StackError("kafka", f"Kafka {namespace}/{cluster} has no address of its listener {wanted} yet", hint)
    found = {"bootstrap.servers": status["bootstrapServers"]}
    if spec.get("tls"):
        found["ssl.ca.pem"] = "\n".join(status.get("certificates", []))
    kind = spec.get("authentication", {}).get("type", "")
    if kind and not user:
        raise ConfigError(f"{source}: listener {wanted} of Kafka {namespace}/{cluster} wants strimzi.user ({kind})")
    secret = _secret(api_client, namespace, user) if kind else {}
    return found | _security(bool(spec.get("tls")), kind, user, secret)


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """What a resource's status says under a condition of this type; empty where it says nothing."""
    return next((item for item in status.get("conditions", []) if item.get("type") == kind), {})


def unready(found: Mapping[str, Any] | None) -> str:
    """What keeps a resource of Strimzi's from being ready, by the operator's own word; "" when nothing does.

    :param found: the resource; None: there is none.
    """
    if found is None:
        return "it does not exist"
    status = found.get("status") or {}
    if status.get("observedGeneration", 0) < found["metadata"].get("generation", 0):
        return "its operator has not seen it as it is now"
    if condition(status, "Ready").get("status") == "True":
        return ""
    wrong = condition(status, "NotReady")
    said = ": ".join(filter(None, (wrong.get("reason"), wrong.get("message"))))
    return f"it is not ready{f' ({said})' if said else ''}"


def _security(tls: bool, kind: str, user: str, secret: Mapping[str, str]) -> dict[str, str]:
    if kind == "scram-sha-512":
        return {
            "security.protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": _key(secret, "password", user),
        }
    if kind == "tls":
        return {
            "security.protocol": "SSL",
            "ssl.certificate.pem": _key(secret, "user.crt", user),
            "ssl.key.pem": _key(secret, "user.key", user),
        }
    if kind:
        raise ConfigError(f"listeners with authentication {kind} are not supported: tls and scram-sha-512 are")
    return {"security.protocol": "SSL" if tls else "PLAINTEXT"}


def _named(items: Any, name: str) -> Mapping[str, Any] | None:
    return next((item for item in items if item["name"] == name), None)


def _key(secret: Mapping[str, str], key: str, user: str) -> str:
    if key not in secret:
        have = ", ".join(sorted(secret)) or "nothing"
        raise StackError("kafka", f"Secret {user} has no {key} (it has {have})", "The KafkaUser is of another type")
    return base64.b64decode(secret[key]).decode()


def _secret(api_client: Any, namespace: str, user: str) -> dict[str, str]:
    """What the Secret holds, encoded, as there are key stores in it, too, which are no text."""
    from kubernetes.client import CoreV1Api

    from bigdata.errors import ClusterError

    try:
        with told(f"secrets {namespace}/{user}"):
            found = CoreV1Api(api_client).read_namespaced_secret(user, namespace, _request_timeout=_REQUEST_SECONDS)
    except ClusterError as error:
        if error.status == 404:
            hint = f"Look at: kubectl -n {namespace} get kafkauser {user}"
            raise StackError("kafka", f"user {user} has no Secret {namespace}/{user} yet", hint) from None
        raise
    return dict(found.data or {})
