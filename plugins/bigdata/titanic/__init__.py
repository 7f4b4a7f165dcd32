"""The steps of the Titanic pipeline between and after Spark: land, check, send, report. Airflow-free."""
