"""Object storage: buckets, whole files, and datasets published by pointer. Airflow-free."""
