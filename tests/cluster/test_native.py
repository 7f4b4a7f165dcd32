"""Applications by spark-submit on a real cluster; after each, nothing of it is left there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bigdata.errors import SubmitError
from bigdata.local.java import find_java
from bigdata.spark.driver.driver_pods import DriverPods
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load
from bigdata.spark.naming import TaskTry
from bigdata.spark.native.runtime import NativeRuntime, NativeSettings
from bigdata.spark.runtime import Phase, State, run

from ..waiting import soon
from .conftest import Bench, bind, left
from .operated import IMAGE

pytestmark = pytest.mark.cluster

PI = Path(__file__).parents[2] / "spark_jobs" / "spark_pi.yaml"
JOB = Path(__file__).parent / "job.py"
SUBMITTER = "submitter"


@pytest.fixture
def bench(api_client: Any, namespace: str, tmp_path: Path) -> Iterator[Bench]:
    settings = NativeSettings(api_client, find_java().home, tmp_path, namespace, dict(os.environ), startup_timeout=120)
    yield Bench(settings)
    assert soon(lambda: not left(api_client, namespace)), left(api_client, namespace)
    assert list((tmp_path / "spark-runs").iterdir()) == []


@pytest.fixture(scope="module")
def job(core: Any, namespace: str) -> None:
    """The job as a config map, and a secret."""
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "job"}, "data": {"job.py": JOB.read_text()}})
    core.create_namespaced_secret(namespace, {"metadata": {"name": "keys"}, "stringData": {"key": "hunter2"}})


def application(what: str, **driver: Any) -> Application:
    """The job as an application."""
    mounted = {"volumeMounts": [{"name": "job", "mountPath": "/mnt/job"}]}
    return load(PI).with_spec(
        image=IMAGE,
        mainApplicationFile="local:///mnt/job/job.py",
        arguments=[what],
        volumes=[{"name": "job", "configMap": {"name": "job"}}],
        driver={**mounted, **driver},
    )


def test_spark_pi(bench: Bench, api_client: Any, core: Any, namespace: str) -> None:
    from kubernetes.client import NetworkingV1Api

    seen: dict[str, Any] = {}

    def look(state: State) -> None:
        if state.phase == Phase.RUNNING:
            (driver,) = core.list_namespaced_pod(namespace, label_selector="spark-role=driver").items
            maps = core.list_namespaced_config_map(namespace).items
            seen.update(name=driver.metadata.name, labels=driver.metadata.labels)
            seen.update(files={file for item in maps for file in item.data or {}})
            seen.update(policies=NetworkingV1Api(api_client).list_namespaced_network_policy(namespace).items)

    outcome = bench.run(load(PI).with_spec(image=IMAGE).with_labels({"team": "a"}), look)
    outcome.check("spark-pi")
    assert [state.phase for state in bench.states] == [Phase.PENDING, Phase.RUNNING, Phase.SUCCEEDED]
    assert (outcome.raw, outcome.exit_code, set(outcome.seconds)) == ("Completed", 0, {"PENDING", "RUNNING"})
    assert bench.said("Pi is roughly").startswith("3.1")
    assert seen["name"] == "spark-pi-driver"
    assert seen["labels"] | {"team": "a", "airflow-bigdata/application": "spark-pi"} == seen["labels"]
    assert seen["labels"]["spark-app-selector"] == outcome.application_id
    assert "spark.properties" in seen["files"]
    assert not [file for file in seen["files"] if "kubeconfig" in file]
    assert len(seen["policies"]) == 1
    assert bench.said("Driver pod:").endswith("port-forward spark-pi-driver 4040")
    assert not [line for line in bench.lines if line.startswith("Not applied")]


def test_variables_secrets_and_volumes_reach_the_pods(bench: Bench, job: None) -> None:
    refs = {"envSecretKeyRefs": {"FROM_SECRET": {"name": "keys", "key": "key"}}}
    chosen = application(
        "show",
        envVars={"PLAIN": "a b", "BOTH": "vars"},
        env=[
            {"name": "BOTH", "value": "env"},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        securityContext={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        podSecurityContext={"runAsNonRoot": True},
        tolerations=[{"key": "spot", "operator": "Exists"}],
        **refs,
    ).with_spec(executor=refs)
    bench.run(chosen).check("show")
    expected = {"PLAIN": "a b", "BOTH": "env", "FROM_SECRET": "hunter2", "POD": "spark-pi-driver"}
    assert bench.said("driver:") == str(expected)
    assert bench.said("executor:") == "hunter2"
    assert bench.said("mounted:") == "['job.py'] 185"


def test_the_exception_becomes_the_reason(bench: Bench, job: None) -> None:
    outcome = bench.run(application("fail"))
    assert (outcome.phase, outcome.raw, outcome.exit_code) == (Phase.FAILED, "exit code 1", 1)
    assert outcome.reason == "ValueError: the passengers are missing"
    assert any("job.py" in line for line in outcome.last_lines)


def test_lines_that_are_not_shown_tell_the_reason_all_the_same(bench: Bench, job: None, namespace: str) -> None:
    shown: list[str] = []
    pods: list[tuple[str, str]] = []
    runtime = NativeRuntime(bench.settings, bench.lines.append, lambda *pod: pods.append(pod), shown.append)
    assert run(runtime, application("fail")).reason == "ValueError: the passengers are missing"
    assert pods == [(namespace, "spark-pi-driver")]
    assert "Traceback (most recent call last):" in shown
    assert not [line for line in bench.lines if "passengers are missing" in line]


def test_a_driver_that_is_left_runs_on(bench: Bench, job: None, core: Any, namespace: str) -> None:
    runtime = bench.runtime
    handle = runtime.submit(application("wait"))
    last = None
    for last in runtime.observe(handle):
        if last.phase == Phase.RUNNING:
            runtime.leave(handle)
    assert last is not None
    assert (last.phase, last.raw) == (Phase.GONE, "left")
    runtime.cancel(handle)
    assert core.read_namespaced_pod("spark-pi-driver", namespace).status.phase == "Running"
    # The next run of it makes room for itself.
    assert bench.run(application("fail")).phase == Phase.FAILED
    assert any(line.startswith("Deleted pod") for line in bench.lines)


def test_a_pod_of_the_same_name_of_another_task_is_left_alone(bench: Bench, job: None, core: Any) -> None:
    mine, other = (
        application("wait").with_labels(TaskTry("cluster", task, uuid.uuid4().hex).labels) for task in ("mine", "other")
    )
    handle = bench.runtime.submit(mine)
    try:
        with pytest.raises(SubmitError, match="spark-pi-driver exists and is not of this application"):
            bench.runtime.submit(other)
        assert handle.drivers.read(handle.pod).metadata.uid == handle.uid
    finally:
        bench.runtime.cancel(handle)


def test_a_driver_that_has_ended_may_be_kept(bench: Bench, job: None, core: Any, namespace: str) -> None:
    keeping = NativeRuntime(replace(bench.settings, delete_on_termination=False), bench.lines.append)
    assert run(keeping, application("fail")).phase == Phase.FAILED
    assert "passengers are missing" in core.read_namespaced_pod_log("spark-pi-driver", namespace)
    # The next run by this name makes room for itself.
    assert run(bench.runtime, application("fail")).phase == Phase.FAILED
    assert any(line.startswith("Deleted pod") for line in bench.lines)


def test_a_pod_of_somebody_else_is_left_alone(bench: Bench, core: Any, namespace: str) -> None:
    containers = [{"name": "x", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "600"]}]
    body = {
        "metadata": {"name": "spark-pi-driver"},
        "spec": {"containers": containers, "terminationGracePeriodSeconds": 0},
    }
    core.create_namespaced_pod(namespace, body)
    with pytest.raises(SubmitError, match="spark-pi-driver exists and is not of this application"):
        bench.run(load(PI).with_spec(image=IMAGE))
    core.delete_namespaced_pod("spark-pi-driver", namespace)
    (bench.settings.state_dir / "spark-runs").mkdir()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"image": "bigdata/no-such-image:1"},
            "did not start within 15 s: the image .*bigdata/no-such-image:1 cannot be pulled",
        ),
        ({"image": "Not An Image"}, "the driver cannot start: Not An Image is no valid name of an image"),
        ({"nodeSelector": {"no": "node"}}, "did not start within 15 s: no node can take the pod: 0/"),
        (
            {"driver": {"envSecretKeyRefs": {"X": {"name": "no-such-secret", "key": "k"}}}},
            'did not start within 15 s: the container cannot be configured: secret "no-such-secret" not found',
        ),
    ],
)
def test_a_driver_that_cannot_start(bench: Bench, spec: dict[str, Any], message: str) -> None:
    bench.settings = replace(bench.settings, startup_timeout=15)
    outcome = bench.run(load(PI).with_spec(**{"image": IMAGE, **spec}))
    assert outcome.phase == Phase.FAILED
    assert re.search(message, outcome.reason), outcome.reason


def test_a_service_account_that_does_not_exist(bench: Bench) -> None:
    with pytest.raises(SubmitError, match='serviceaccount "nobody" not found'):
        bench.run(load(PI).with_spec(image=IMAGE, driver={"serviceAccount": "nobody"}))


def test_cancelling_deletes_driver_and_executors(bench: Bench, job: None, core: Any, namespace: str) -> None:
    runtime = bench.runtime
    handle = runtime.submit(application("wait"))
    for state in runtime.observe(handle):
        bench.states.append(state)
        if state.phase == Phase.RUNNING:
            assert soon(lambda: len(core.list_namespaced_pod(namespace).items) == 2)
            runtime.cancel(handle)
    assert bench.states[-1].phase == Phase.GONE
    assert core.list_namespaced_pod(namespace).items == []
    runtime.cancel(handle)


def test_an_api_server_that_is_away_when_it_matters(bench: Bench, job: None, core: Any, namespace: str) -> None:
    from kubernetes.client import ApiClient, Configuration, CoreV1Api

    runtime = bench.runtime
    handle = runtime.submit(application("wait"))
    nowhere = Configuration(host="https://127.0.0.1:1")
    nowhere.retries = 0
    handle.drivers = DriverPods(CoreV1Api(ApiClient(nowhere)), namespace)
    with pytest.raises(SubmitError, match="the API server does not answer"):
        runtime.cancel(handle)
    # What this process could not do, the reaper does.
    assert soon(lambda: not core.list_namespaced_pod(namespace).items)


def test_a_pod_deleted_by_somebody_is_gone(bench: Bench, job: None, core: Any, namespace: str) -> None:
    def delete(state: State) -> None:
        if state.phase == Phase.RUNNING:
            core.delete_namespaced_pod("spark-pi-driver", namespace, grace_period_seconds=0)

    outcome = bench.run(application("wait"), delete)
    assert (outcome.phase, outcome.reason) == (Phase.GONE, "the driver's pod was deleted")


def test_a_killed_task_takes_its_driver_with_it(bench: Bench, job: None, core: Any, namespace: str) -> None:
    task = f"""
import os
from pathlib import Path
from kubernetes.config import new_client_from_config
from bigdata.local.java import find_java
from bigdata.spark.driver.driver_pods import DriverPods
from bigdata.spark.manifest.loading import load
from bigdata.spark.native.runtime import NativeRuntime, NativeSettings
from bigdata.spark.runtime import run
client, state = new_client_from_config(), Path({str(bench.settings.state_dir)!r})
settings = NativeSettings(client, find_java().home, state, {namespace!r}, os.environ)
run(NativeRuntime(settings, print), load({application("wait").to_dict()!r}))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", task], env=environment, stdout=subprocess.DEVNULL)
    assert soon(lambda: len(core.list_namespaced_pod(namespace).items) == 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert soon(lambda: not core.list_namespaced_pod(namespace).items)


def test_a_retry_deletes_what_an_earlier_try_left(bench: Bench, job: None, core: Any, namespace: str) -> None:
    first, second = (TaskTry("etl", "pi", "run", try_number=number) for number in (1, 2))
    runtime = bench.runtime
    lost = runtime.submit(application("wait").with_name(first.name).with_labels(first.labels))
    lost.reaper.dismiss()
    outcome = bench.run(application("show").with_name(second.name).with_labels(second.labels))
    outcome.check(second.name)
    assert f"Deleted pod {namespace}/{first.name}-driver, which an earlier try had left" in bench.lines


def test_a_submitter_with_few_rights(bench: Bench, api_client: Any, core: Any, namespace: str) -> None:
    from kubernetes.client import ApiClient, AuthenticationV1TokenRequest, Configuration, RbacAuthorizationV1Api

    rules = [
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch", "create", "delete"]},
        {
            "apiGroups": [""],
            "resources": ["services", "configmaps", "secrets"],
            "verbs": ["create", "get", "update", "patch"],
        },
    ]
    rbac = RbacAuthorizationV1Api(api_client)
    rbac.create_namespaced_role(namespace, {"metadata": {"name": SUBMITTER}, "rules": rules})
    core.create_namespaced_service_account(namespace, {"metadata": {"name": SUBMITTER}})
    bind(api_client, namespace, SUBMITTER, SUBMITTER)
    request = AuthenticationV1TokenRequest(spec={"expirationSeconds": 3600, "audiences": []})
    token = core.create_namespaced_service_account_token(SUBMITTER, namespace, request).status.token
    configuration = Configuration()
    configuration.host, configuration.ssl_ca_cert = api_client.configuration.host, api_client.configuration.ssl_ca_cert
    configuration.api_key = {"authorization": f"Bearer {token}"}
    bench.settings = replace(bench.settings, api_client=ApiClient(configuration))
    pi = load(PI).with_spec(image=IMAGE)
    with pytest.raises(SubmitError, match="networkpolicies.* is forbidden"):
        bench.run(pi)
    without = "org.apache.spark.deploy.k8s.features.NetworkPolicyFeatureStep"
    bench.run(pi.with_spec(sparkConf={"spark.kubernetes.driver.pod.excludedFeatureSteps": without})).check("pi")
    rules.append({"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": rules[1]["verbs"]})
    rbac.replace_namespaced_role(SUBMITTER, namespace, {"metadata": {"name": SUBMITTER}, "rules": rules})
    bench.run(pi).check("pi")
