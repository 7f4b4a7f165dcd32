"""What a SparkApplication may look like, and what a person reads when it is wrong."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bigdata.errors import ManifestError
from bigdata.spark.manifest.application import Application
from bigdata.spark.manifest.loading import load

JOBS = Path(__file__).parents[4] / "spark_jobs"
PI = (JOBS / "spark_pi.yaml").read_text()


def changed(**spec: Any) -> dict[str, Any]:
    """SparkPi with these fields of its spec merged in."""
    document = load(PI).to_dict()
    for key, value in spec.items():
        there = document["spec"].get(key)
        document["spec"][key] = {**there, **value} if isinstance(there, dict) and isinstance(value, dict) else value
    return document


def problem(manifest: Any, **options: Any) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load(manifest, **options)
    return caught.value


def test_a_file_is_loaded() -> None:
    application = load(JOBS / "spark_pi.yaml")
    assert (application.name, application.kind, application.namespace) == ("spark-pi", "SparkApplication", "")
    assert application.spec["mainApplicationFile"].endswith("/pi.py")
    assert application.source.endswith("spark_pi.yaml")
    assert load(str(JOBS / "spark_pi.yaml")) == application


def test_text_json_and_data_are_the_same_application() -> None:
    import json

    data = load(PI).to_dict()
    assert load(json.dumps(data, indent="\t")).to_dict() == load(data).to_dict() == data


def test_an_application_never_changes() -> None:
    application = load(PI)
    application.spec["driver"]["memory"] = "8g"
    application.to_dict()["spec"]["driver"]["memory"] = "8g"
    assert application.spec["driver"]["memory"] == "512m"
    with pytest.raises(dataclasses.FrozenInstanceError):
        application.source = "x"  # type: ignore[misc]


def test_a_copy_under_another_name_with_labels_and_fields() -> None:
    application = load(PI)
    other = application.with_name("pi-1").with_namespace("jobs").with_labels({"team": "a"}).with_spec(image="x:1")
    assert (other.name, other.namespace, other.spec["image"]) == ("pi-1", "jobs", "x:1")
    document = other.to_dict()
    for at in (document["metadata"], document["spec"]["driver"], document["spec"]["executor"]):
        assert at["labels"] == {"team": "a"}
    assert document["spec"]["driver"]["memory"] == "512m"
    assert application.name == "spark-pi"
    with pytest.raises(ManifestError, match=r"metadata.name: .*DNS-1035"):
        application.with_name("Pi")
    with pytest.raises(ManifestError, match="spec.imag"):
        application.with_spec(imag="x")


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    text = PI.replace("    memory: 512m\n    serviceAccount", "    memry: 512m\n    serviceAccount")
    text = text.replace("    instances: 1", "    instances: one").replace('["10"]', "[10]")
    error = problem(text, source="pi.yaml")
    assert error.field == "spec.arguments[0]"
    assert str(error).splitlines() == [
        'pi.yaml: spec.arguments[0]: must be a string, found 10: quote it, "10" (line 14)',
        "  and 2 more:",
        "  spec.driver.memry: is no field of driver; did you mean memory? (line 23)",
        '  spec.executor.instances: must be a whole number, found "one" (line 35)',
    ]


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("", "", "is empty"),
        ("---\n# nothing\n", "", "is empty"),
        ("just text", "", 'must be a mapping with apiVersion, kind, metadata and spec; found "just text"'),
        ("- a\n- b\n", "", "found a list"),
        (PI + "---\n" + PI, "", "holds 2 documents, the second at line"),
        ("a: b: c", "", "line 1, column 5: is no valid YAML"),
        ("a:\n\t- b", "", "line 2, column 1: is no valid YAML"),
        ("name: {{ params.name }}", "", "line 1: holds Jinja that was not rendered"),
        ("a: &a [*a]", "", "an alias refers to what it is part of"),
        ("a: !vault secret", "", "could not determine a constructor for the tag '!vault'"),
        ("a: !!int x", "", "is no valid YAML"),
        ("[" * 1500, "", "is nested too deeply"),
        ("a: \0", "", "is no valid YAML"),
        ("kind: SparkApplication", "apiVersion", "is missing"),
        (PI.replace("v1beta2", "v1beta1"), "apiVersion", "must be sparkoperator.k8s.io/v1beta2; found"),
        (PI.replace("kind: SparkApplication", "kind: Pod"), "kind", 'found "Pod"'),
        (PI.replace("  name: spark-pi", "  name: Spark_Pi"), "metadata.name", '"Spark_Pi" is no DNS-1035 label'),
        (
            PI.replace("  name: spark-pi", f"  name: {'a' * 64}"),
            "metadata.name",
            "has 64 characters, and 63 is the most",
        ),
        (PI.replace("  name: spark-pi\n", "  namespace: jobs\n"), "metadata.name", "is missing"),
        (PI.replace("  name: spark-pi", "  name: 7"), "metadata.name", 'must be a string, found 7: quote it, "7"'),
        (
            PI.replace("  name: spark-pi\n", "  name: pi\n  name: pi\n"),
            "metadata.name",
            "is given twice, at lines 6 and 7",
        ),
        (PI.replace("  mainApplicationFile", "  # "), "spec.mainApplicationFile", "is missing"),
        (PI.replace("    cores: 1", "    on: 1", 1), "spec.driver.True", "is a key that YAML takes for true: quote it"),
        (PI.replace("type: Python", "type: python"), "spec.type", "must be one of Java, Python, Scala, R"),
        (PI.replace("cores: 1", "cores: 0", 1), "spec.driver.cores", "must be at least 1, found 0"),
        (PI.replace("cores: 1", "cores: '1'", 1), "spec.driver.cores", 'found "1": remove the quotes'),
        (PI.replace("cores: 1", "cores: 9999999999", 1), "spec.driver.cores", "is out of range"),
        (PI.replace("100m", "1", 1), "spec.driver.coreRequest", 'found 1: quote it, "1"'),
        (PI.replace("100m", "1 core", 1), "spec.driver.coreRequest", "is no Kubernetes quantity"),
    ],
)
def test_a_broken_text(text: str, field: str, message: str) -> None:
    error = problem(text, source="x.yaml")
    assert error.source == "x.yaml"
    assert error.field == field
    assert message in str(error)


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        (
            {"sparkConf": {"spark.ui.enabled": True}},
            'spec.sparkConf["spark.ui.enabled"]',
            'found true: quote it, "true"',
        ),
        (
            {"sparkConf": {"spark.x": None}},
            'spec.sparkConf["spark.x"]',
            'has no value: a string was expected, write ""',
        ),
        ({"sparkConf": {"ui.enabled": "true"}}, 'spec.sparkConf["ui.enabled"]', "does not start with spark."),
        ({"sparkConf": {"spark.master": "yarn"}}, 'spec.sparkConf["spark.master"]', "the runtime sets it"),
        ({"sparkConf": {"spark.kubernetes.container.image": "x"}}, None, "use spec.image"),
        ({"sparkConf": {"spark.kubernetes.authenticate.driver.oauthToken": "x"}}, None, "the operator refuses it"),
        ({"sparkConf": {"spark.driver.memory": "1Gi"}}, 'spec.sparkConf["spark.driver.memory"]', "is no memory size"),
        ({"driver": {"memory": "512Mi"}}, "spec.driver.memory", "Mi and Gi are Kubernetes' units, not Spark's"),
        ({"driver": {"memory": "1.5g"}}, "spec.driver.memory", "a whole number and k, m, g or t"),
        ({"driver": {"memory": "512"}}, "spec.driver.memory", "is no memory size"),
        ({"executor": {"memory": "lots"}}, "spec.executor.memory", "is no memory size"),
        ({"executor": {"memoryLimit": "2 gigs"}}, "spec.executor.memoryLimit", "is no Kubernetes quantity"),
        ({"driver": {"instances": 2}}, "spec.driver.instances", "is no field of driver; it belongs to spec.executor"),
        ({"driver": {"image_": "x"}}, "spec.driver.image_", "did you mean image?"),
        ({"jars": []}, "spec.jars", "is no field of spec; it belongs to spec.deps"),
        ({"driver": {"env": [{"value": "x"}]}}, "spec.driver.env[0].name", "is missing"),
        ({"driver": {"labels": {"a b": "x"}}}, 'spec.driver.labels["a b"]', "is no valid label key"),
        ({"executor": {"labels": {"a": "x y"}}}, "spec.executor.labels.a", '"x y" is no valid label value'),
        ({"mainApplicationFile": "s3://b/x.py"}, "spec.mainApplicationFile", "cannot read s3://; write s3a://"),
        ({"mainApplicationFile": "/opt/x.py"}, "spec.mainApplicationFile", "has no scheme: write local://"),
        ({"mainApplicationFile": "local:///x.jar"}, "spec.mainApplicationFile", "does not end in .py"),
        ({"mainApplicationFile": ""}, "spec.mainApplicationFile", "is empty"),
        ({"mainApplicationFile": "{{ x }}"}, "spec.mainApplicationFile", "holds Jinja that was not rendered"),
        ({"arguments": ["a\0b"]}, "spec.arguments[0]", "holds a null character"),
        ({"deps": {"packages": ["a:b"]}}, "spec.deps.packages[0]", "is not of the form group:artifact:version"),
        ({"deps": {"pyFiles": ["a.py,b.py"]}}, "spec.deps.pyFiles[0]", "holds a comma"),
        (
            {"nodeSelector": {"a": "b"}, "driver": {"nodeSelector": {"a": "b"}}},
            "spec.driver.nodeSelector",
            "one or the other",
        ),
        (
            {"dynamicAllocation": {"enabled": True, "minExecutors": 3, "maxExecutors": 2}},
            None,
            "more than maxExecutors, 2",
        ),
        ({"memoryOverheadFactor": "10%"}, "spec.memoryOverheadFactor", "is no number"),
        (
            {"volumes": [{"name": "x", "emptyDir": {"sizeLimit": "1 GB"}}]},
            "spec.volumes[0].emptyDir.sizeLimit",
            "quantity",
        ),
        ({"driver": {"template": {"x": float("nan")}}}, "spec.driver.template.x", "is no number that JSON has"),
    ],
)
def test_a_broken_field(spec: dict[str, Any], field: str | None, message: str) -> None:
    error = problem(changed(**spec))
    assert field in (None, error.field)
    assert message in str(error)
    assert "more:" not in str(error)


def test_a_value_that_may_be_a_secret_is_not_shown() -> None:
    document = changed(driver={"envVars": {"X": 12345678}, "env": [{"name": "Y", "value": 12345678}]})
    document["spec"]["hadoopConf"] = {"fs.s3a.secret.key": 12345678}
    error = problem(document)
    assert "12345678" not in str(error)
    assert str(error).count("must be a string: quote it") == 3


def test_what_kubernetes_accepts_is_accepted() -> None:
    text = PI.replace("    memory: 512m", "    memory: 512m\n    env:\n    nodeSelector: null", 1)
    text = text.replace(
        "metadata:\n", "metadata:\n  creationTimestamp: null\n  resourceVersion: '7'\n  annotations: {a: b}\n"
    )
    text += "status:\n  applicationState: {state: COMPLETED}\n"
    document = load(text).to_dict()
    assert "env" not in document["spec"]["driver"]
    assert document["metadata"] == {"name": "spark-pi", "annotations": {"a": "b"}}
    assert "status" not in document


def test_a_timestamp_is_a_string_and_a_port_mapping_no_number() -> None:
    arguments = load(PI.replace('["10"]', "[2026-01-01, 12:30, 2026-01-01T00:00:00Z]")).spec["arguments"]
    assert arguments == ["2026-01-01", "12:30", "2026-01-01T00:00:00Z"]


def test_placeholders_of_spark_are_no_jinja() -> None:
    options = "-Xlog:gc:/tmp/{{APP_ID}}-{{EXECUTOR_ID}}.log"
    assert load(changed(executor={"javaOptions": options})).spec["executor"]["javaOptions"] == options


def test_s3_is_a_scheme_where_it_is_mapped() -> None:
    document = changed(
        mainApplicationFile="s3://b/x.py", hadoopConf={"fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem"}
    )
    assert load(document).spec["mainApplicationFile"] == "s3://b/x.py"


def test_a_name_may_be_left_to_the_caller() -> None:
    text = PI.replace("  name: spark-pi\n", "")
    assert load(text, default_name="etl").name == "etl"
    assert load(PI, default_name="etl").name == "spark-pi"


def test_monitoring_and_a_schedule_leave_less_room_for_the_name() -> None:
    monitoring = {
        "exposeDriverMetrics": True,
        "exposeExecutorMetrics": True,
        "prometheus": {"jmxExporterJar": "/opt/jmx.jar"},
    }
    document = changed(monitoring=monitoring)
    document["metadata"]["name"] = "a" * 49
    load(document)
    document["metadata"]["name"] = "a" * 50
    assert "has 50 characters, and 49 is the most" in str(problem(document))


def scheduled() -> dict[str, Any]:
    document = load(PI).to_dict()
    return {
        **document,
        "kind": "ScheduledSparkApplication",
        "spec": {"schedule": "@daily", "concurrencyPolicy": "Forbid", "template": document["spec"]},
    }


def test_a_scheduled_application_has_its_spec_in_a_template() -> None:
    application = load(scheduled())
    assert application.is_scheduled
    assert application.spec == load(PI).spec
    other = application.with_labels({"team": "a"}).with_spec(image="x:1")
    assert other.to_dict()["spec"]["template"]["image"] == "x:1"
    assert other.to_dict()["spec"]["schedule"] == "@daily"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"schedule": None}, "spec.schedule"),
        ({"shedule": "x"}, "spec.shedule"),
        ({"template": {}}, "spec.template.driver"),
        ({"template": {"type": "Python"}}, "spec.template.driver"),
    ],
)
def test_a_broken_schedule(change: dict[str, Any], field: str) -> None:
    document = copy.deepcopy(scheduled())
    document["spec"] |= change
    assert problem(document).field == field


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in str(problem("no/such/file.yaml"))
    assert "cannot be read: Is a directory" in str(problem(tmp_path))
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    assert "is not UTF-8" in str(problem(tmp_path / "latin.yaml"))
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbf" + PI.encode())
    assert isinstance(load(tmp_path / "bom.yaml"), Application)
