"""SparkApplications: the manifest, and the runtimes that run it. Airflow-free."""
