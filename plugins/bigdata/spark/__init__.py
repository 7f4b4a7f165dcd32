"""SparkApplications: one contract, three runtimes. Airflow-free.

``manifest`` loads and checks the YAML; ``local``, ``native`` and ``kubernetes`` each run it, by the protocol of
``runtime``. The first two share ``submit``, spark-submit as a process; the last two ``driver``, what a driver's pod and
log tell.
"""
