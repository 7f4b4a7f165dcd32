"""Kafka with kafka-python: topics, producing with proof, consuming with commit after success. Airflow-free."""
