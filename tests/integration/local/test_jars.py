import re

import pytest

from bigdata.local import ivy, jars

pytestmark = pytest.mark.integration


def test_sparks_jars_are_the_slim_set_without_what_pyspark_has(own_settings):
    found = jars.spark_jars(own_settings)
    names = [path.name for path in found]
    assert sum("hadoop-aws-" in name for name in names) == 1
    assert not any("_bundle-" in name for name in names)
    assert sum(path.stat().st_size for path in found) < 25e6
    theirs = {re.sub(r"-[0-9].*", "", path.name) for path in ivy.pyspark_jars_dir().glob("*.jar")}
    assert not {re.sub(r"-[0-9].*", "", name.partition("_")[2]) for name in names} & theirs


def test_hadoop_aws_has_the_version_of_pysparks_hadoop():
    from bigdata.spark.packages import HADOOP_VERSION, SPARK_VERSION

    assert (ivy.pyspark_jars_dir() / f"hadoop-client-api-{HADOOP_VERSION}.jar").exists()
    assert ivy.pyspark_version() == SPARK_VERSION
