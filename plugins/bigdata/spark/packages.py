"""The Maven packages that a Spark driver needs beyond Spark itself; the Spark image and the laptop share them.

hadoop-aws must have the version of the Hadoop that Spark carries. The AWS SDK's one-jar bundle (686 MB) is left out
for the four modules of it that S3A uses (19 MB).
"""

from __future__ import annotations

SPARK_VERSION = "4.2.0"
HADOOP_VERSION = "3.5.0"
AWS_SDK_VERSION = "2.35.4"

S3A_PACKAGES = (
    f"org.apache.hadoop:hadoop-aws:{HADOOP_VERSION}",
    f"software.amazon.awssdk:s3-transfer-manager:{AWS_SDK_VERSION}",
    f"software.amazon.awssdk:sts:{AWS_SDK_VERSION}",
    f"software.amazon.awssdk:apache-client:{AWS_SDK_VERSION}",
    f"software.amazon.awssdk:netty-nio-client:{AWS_SDK_VERSION}",
)
S3A_EXCLUDES = ("software.amazon.awssdk:bundle",)
