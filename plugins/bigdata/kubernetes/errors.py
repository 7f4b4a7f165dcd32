"""The API server's refusals in plain words, with what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bigdata.errors import ClusterError

_WEBHOOK = re.compile(r'admission webhook "(?P<name>[^"]+)" denied the request: ?(?P<why>.*)', re.DOTALL)
_FORBIDDEN = re.compile(r'User "(?P<user>[^"]+)" cannot (?P<verb>\w+) resource')
# What a moment may heal: too many requests, a restart, a leader election, a webhook that is not up yet.
TRANSIENT = (429, 500, 502, 503, 504)


@contextmanager
def async_told(what: str) -> Iterator[None]:
    """The same as :func:`told` for the asynchronous client."""
    from aiohttp import ClientError
    from kubernetes_asyncio.client.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        status = error.status or 0
        raise ClusterError(what, _explained(error), status, is_transient=status in TRANSIENT) from error
    except (ClientError, OSError) as error:  # a TimeoutError is an OSError
        why = f"the API server does not answer ({type(error).__name__})"
        raise ClusterError(what, why, is_transient=True) from error


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn a client's exception into one line.

    :param what: the resource it is about.
    :raises ClusterError: always when the client raises; ``is_transient`` tells whether to try again makes sense.
    """
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        status = error.status or 0
        raise ClusterError(what, _explained(error), status, is_transient=status in TRANSIENT) from error
    except (HTTPError, OSError) as error:
        why = f"the API server does not answer ({type(error).__name__})"
        raise ClusterError(what, why, is_transient=True) from error


def _explained(error: Any) -> str:
    message = _message(error)
    if found := _WEBHOOK.search(message):
        return f"refused by the webhook {found['name']}: {found['why'] or 'no reason given'}"
    if "failed calling webhook" in message:
        return f"a webhook does not answer; is the operator running? ({message})"
    if found := _FORBIDDEN.search(message):
        return f"forbidden: {found['user']} may not {found['verb']} it here; give it a Role that allows this"
    if error.status == 404 and not message.startswith("{") and "page not found" in message:
        return "the cluster does not know this kind: install the operator, whose chart brings the CRD"
    if error.status == 404 and message.startswith("namespaces "):
        return f"{message}: create it, or name another"
    if error.status == 401:
        return "the API server does not accept the credentials (401): renew those of the connection"
    return f"{error.status} {error.reason}: {message}" if message else f"{error.status} {error.reason}"


def _message(error: Any) -> str:
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")
    try:
        found = json.loads(body)
    except ValueError:
        return body.strip()
    return str(found.get("message", "")) if isinstance(found, dict) else body
