"""The runtime ``kubernetes``: a SparkApplication on the cluster, run by the Kubeflow Spark operator."""
