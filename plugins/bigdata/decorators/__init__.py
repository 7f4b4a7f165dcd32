"""TaskFlow forms of this library's operators, such as ``@task.kafka_produce``."""
