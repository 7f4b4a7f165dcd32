"""ScheduledSparkApplications: put on the cluster, to be run by the Spark operator's own clock.

Contract. The schedule keeps the name that its manifest gives it, and applying it again changes it in place, so any
number of DAG runs leave one schedule. It outlives the task, which ends when the operator has taken the schedule up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bigdata.errors import ClusterError, SubmitError
from bigdata.kubernetes.resources import Kind, Object, Resources
from bigdata.spark.manifest.application import Application

SCHEDULED = Kind("sparkoperator.k8s.io", "v1beta2", "ScheduledSparkApplication", "scheduledsparkapplications")

_MANAGER = "airflow-bigdata"
# A schedule that is changed still shows the state of the last one, until the operator has looked at it.
_SETTLE_SECONDS = 3.0


def apply(
    api_client: Any, application: Application, namespace: str, timeout: float, log: Callable[[str], None]
) -> dict[str, Any]:
    """Create or change a schedule, and wait until the operator has taken it up.

    :param api_client: of the official kubernetes client.
    :param namespace: for a schedule that names none.
    :param timeout: seconds to wait.
    :returns: name, namespace, schedule, and when it runs next, as an XCom.
    :raises SubmitError: the API server or the operator refuses it, nobody takes it up, or the name is another task's.
    """
    resources = Resources(api_client, SCHEDULED, application.namespace or namespace)
    where = f"ScheduledSparkApplication {resources.namespace}/{application.name}"
    try:
        before = resources.read(application.name)
        _check_own(before, application, where)
        found = resources.apply(application.with_namespace(resources.namespace).to_dict(), _MANAGER)
        is_changed = before is not None and before["metadata"]["generation"] != found["metadata"]["generation"]
        log(f"{'Created' if before is None else 'Changed' if is_changed else 'Unchanged:'} {where}")
        found = _taken_up(resources, found, timeout, _SETTLE_SECONDS if is_changed else 0.0)
    except ClusterError as error:
        raise SubmitError(f"{application.name}: {error}") from error
    status, spec = found.get("status") or {}, found["spec"]
    if status.get("scheduleState") == "FailedValidation":
        raise SubmitError(f"{where}: the Spark operator refuses it: {status.get('reason') or 'no reason given'}")
    if not status.get("scheduleState"):
        why = f"the Spark operator did not take it up within {timeout:.0f} s"
        raise SubmitError(f"{where}: {why}: does it run, and watch the namespace {resources.namespace}?")
    log(
        f"{where}: {status['scheduleState']}, runs {spec['schedule']}, next at {status.get('nextRun') or 'no set time'}"
    )
    return {
        "name": application.name,
        "namespace": resources.namespace,
        "schedule": spec["schedule"],
        "next_run": status.get("nextRun"),
    }


def _taken_up(resources: Resources, found: Object, timeout: float, settle: float) -> Object:
    """The schedule once the operator has decided on it, or as it is when the time is over."""
    began = time.monotonic()
    name = found["metadata"]["name"]
    while True:
        has_decided = (found.get("status") or {}).get("scheduleState") in ("Scheduled", "FailedValidation")
        left = began + (settle if has_decided else timeout) - time.monotonic()
        if left <= 0:
            return found
        try:
            for event in resources.watch(name, found["metadata"]["resourceVersion"], max(1, int(left))):
                found = event["object"]
                break
        except ClusterError as error:
            if not error.is_transient and error.status != 410:
                raise
            time.sleep(0.5)
            found = resources.read(name) or found


def _check_own(before: Object | None, application: Application, where: str) -> None:
    labels = ((before or {}).get("metadata") or {}).get("labels") or {}
    if before is not None and any(labels.get(key) != value for key, value in application.labels.items()):
        raise SubmitError(f"{where} exists and is not of this task: give it another name, or delete that one")
