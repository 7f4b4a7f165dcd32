"""Airflow triggers: the deferred halves of the operators' waits."""
