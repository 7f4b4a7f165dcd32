"""The runtime ``native``: ``spark-submit --master k8s://``, for clusters without the operator."""
