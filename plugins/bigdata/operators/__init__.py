"""Airflow operators: thin adapters over the Airflow-free core."""
