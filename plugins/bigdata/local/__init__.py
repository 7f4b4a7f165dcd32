"""The embedded stack: a Kafka broker and an S3 API on this machine, with no Docker and no cluster."""
