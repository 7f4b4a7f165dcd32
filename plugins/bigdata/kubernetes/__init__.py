"""Custom resources by a client that the caller made: create, read, watch, delete. Knows neither Airflow nor Spark."""
