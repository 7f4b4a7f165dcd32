"""Who may do what: the Roles of k8s/base on a real API server, asked by SubjectAccessReviews."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from . import kustomized

pytestmark = pytest.mark.cluster

WORKER, TRIGGERER, SCHEDULER = "airflow:airflow-worker", "airflow:airflow-triggerer", "airflow:airflow-scheduler"
OTHERS = (
    *(f"airflow:airflow-{part}" for part in ("api-server", "dag-processor", "cleanup", "create-user-job", "statsd")),
    *("airflow:airflow-migrate-database-job", "airflow:default", "bigdata:default"),
)
DRIVER, FLINK = "bigdata:spark", "bigdata:flink"
APPLICATIONS, SCHEDULES = "sparkapplications.sparkoperator.k8s.io", "scheduledsparkapplications.sparkoperator.k8s.io"
DEPLOYMENTS, SESSION_JOBS = "flinkdeployments.flink.apache.org", "flinksessionjobs.flink.apache.org"
CLUSTERS, TOPICS = "kafkas.kafka.strimzi.io", "kafkatopics.kafka.strimzi.io"

READ = ("get", "list", "watch")
VERBS = (*READ, "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    *("pods", "pods/log", "pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "events"),
    *("secrets", "configmaps", "services", "serviceaccounts", "serviceaccounts/token", "persistentvolumeclaims"),
    *("deployments.apps", "jobs.batch", "roles.rbac.authorization.k8s.io", "nodes", "namespaces"),
    *(APPLICATIONS, f"{APPLICATIONS}/status", SCHEDULES, DEPLOYMENTS, f"{DEPLOYMENTS}/status", SESSION_JOBS),
    *(CLUSTERS, TOPICS),
)
NAMESPACES = ("airflow", "bigdata", "kube-system")

# By account, namespace and resource. Whatever is not here must be refused.
ALLOWED: dict[tuple[str, str, str], tuple[str, ...]] = {
    (WORKER, "bigdata", APPLICATIONS): (*READ, "create", "patch", "delete"),
    (WORKER, "bigdata", SCHEDULES): (*READ, "create", "patch", "delete"),
    (WORKER, "bigdata", DEPLOYMENTS): (*READ, "create", "patch", "delete"),
    (WORKER, "bigdata", SESSION_JOBS): (*READ, "create", "patch", "delete"),
    (WORKER, "bigdata", TOPICS): (*READ, "create", "patch"),
    (WORKER, "bigdata", CLUSTERS): READ,
    (WORKER, "bigdata", "pods"): (*READ, "delete"),
    (WORKER, "bigdata", "pods/log"): ("get",),
    (WORKER, "bigdata", "events"): ("list",),
    (TRIGGERER, "bigdata", APPLICATIONS): (*READ, "patch", "delete"),
    (TRIGGERER, "bigdata", DEPLOYMENTS): (*READ, "patch", "delete"),
    (TRIGGERER, "bigdata", SESSION_JOBS): (*READ, "patch", "delete"),
    (TRIGGERER, "bigdata", TOPICS): READ,
    (TRIGGERER, "bigdata", CLUSTERS): READ,
    (TRIGGERER, "bigdata", "pods/log"): ("get",),
    (SCHEDULER, "airflow", "pods"): (*READ, "create", "patch", "delete"),
    (SCHEDULER, "airflow", "pods/log"): ("get",),
    (SCHEDULER, "airflow", "events"): ("list", "watch"),
    (DRIVER, "bigdata", "pods"): VERBS,
    (DRIVER, "bigdata", "services"): VERBS,
    (DRIVER, "bigdata", "configmaps"): VERBS,
    (DRIVER, "bigdata", "persistentvolumeclaims"): VERBS,
    (FLINK, "bigdata", "pods"): VERBS,
    (FLINK, "bigdata", "configmaps"): VERBS,
    (FLINK, "bigdata", "services"): READ,
    (FLINK, "bigdata", "deployments.apps"): (*READ, "update", "patch", "delete"),
}


@pytest.fixture(scope="module")
def namespaces(api_client: Any) -> Iterator[dict[str, str]]:
    names = kustomized.names()
    with kustomized.applied(kustomized.build("base", names)):
        yield names | {"kube-system": "kube-system"}


def review(api_client: Any, names: Mapping[str, str], account: str, namespace: str, verb: str, resource: str) -> bool:
    from kubernetes.client import AuthorizationV1Api

    where, _, name = account.partition(":")
    resource, _, subresource = resource.partition("/")
    resource, _, group = resource.partition(".")
    what = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
    spec = {
        "user": f"system:serviceaccount:{names[where]}:{name}",
        "groups": ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{names[where]}"],
        "resourceAttributes": what | {"namespace": names[namespace]},
    }
    answer = AuthorizationV1Api(api_client).create_subject_access_review({"spec": spec})
    return bool(answer.status.allowed)


@pytest.mark.parametrize("account", [WORKER, TRIGGERER, SCHEDULER, *OTHERS, DRIVER, FLINK])
def test_each_may_do_what_it_needs_and_nothing_else(api_client: Any, namespaces: dict[str, str], account: str) -> None:
    wrong = []
    for namespace in NAMESPACES:
        for resource in RESOURCES:
            expected = ALLOWED.get((account, namespace, resource), ())
            for verb in VERBS:
                allowed = review(api_client, namespaces, account, namespace, verb, resource)
                if allowed != (verb in expected):
                    wrong.append(f"{account} {'may' if allowed else 'may not'} {verb} {resource} in {namespace}")
    assert wrong == []


def test_the_namespaces_refuse_pods_with_privileges(core: Any, namespaces: dict[str, str]) -> None:
    from kubernetes.client.exceptions import ApiException

    body = {"metadata": {"name": "root"}, "spec": {"containers": [{"name": "root", "image": "none"}]}}
    for name in ("airflow", "bigdata"):
        with pytest.raises(ApiException, match="violates PodSecurity"):
            core.create_namespaced_pod(namespaces[name], body, dry_run="All")
