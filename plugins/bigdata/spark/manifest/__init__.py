"""The YAML of a SparkApplication: parsed, checked against the CRD and beyond, and told off by file and field."""
