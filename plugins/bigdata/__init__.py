"""Spark, Kafka and Flink from Airflow: one DAG and one manifest on a laptop, on Kubernetes and on EKS."""

__version__ = "0.1.0"
