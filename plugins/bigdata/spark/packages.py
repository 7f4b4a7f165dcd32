"""The Maven packages that Spark needs beyond itself: the laptop's driver has those of S3A and Kafka, the image all.

hadoop-aws must have the version of the Hadoop that Spark carries. The AWS SDK's one-jar bundle (686 MB) is left out
for the four modules of it that S3A uses (19 MB), and commons-logging because Spark has its classes in jcl-over-slf4j.

The image's jars, with all that these need, are pinned by checksum in ``docker/spark/jars.sha256``; ``make lock``
writes it anew. Nothing is imported here but the standard library: the image's build reads this file by itself.
"""

from __future__ import annotations

SPARK_VERSION = "4.2.0"
HADOOP_VERSION = "3.5.0"
AWS_SDK_VERSION = "2.35.4"
JMX_EXPORTER_VERSION = "1.0.1"

S3A_PACKAGES = (
    f"org.apache.hadoop:hadoop-aws:{HADOOP_VERSION}",
    f"software.amazon.awssdk:s3-transfer-manager:{AWS_SDK_VERSION}",
    f"software.amazon.awssdk:sts:{AWS_SDK_VERSION}",
    f"software.amazon.awssdk:apache-client:{AWS_SDK_VERSION}",
    f"software.amazon.awssdk:netty-nio-client:{AWS_SDK_VERSION}",
)
S3A_EXCLUDES = ("software.amazon.awssdk:bundle", "commons-logging:commons-logging")

#: Spark's Kafka source and sink. Maven Central answered 404 for its token provider 4.2.0 (November 2026). That of 4.0.0
#: fits, all but its logging while it fetches delegation tokens, which is for Kafka with Kerberos.
KAFKA_PACKAGES = (
    f"org.apache.spark:spark-sql-kafka-0-10_2.13:{SPARK_VERSION}",
    "org.apache.spark:spark-token-provider-kafka-0-10_2.13:4.0.0",
)
KAFKA_EXCLUDES = ("org.apache.hadoop:hadoop-client-runtime",)

#: Serves a JVM's metrics to Prometheus; no part of Spark's class path.
JMX_EXPORTER_PACKAGES = (f"io.prometheus.jmx:jmx_prometheus_javaagent:{JMX_EXPORTER_VERSION}",)
