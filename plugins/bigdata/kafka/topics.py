"""Topics: make sure that one is there before records go to it."""

from __future__ import annotations

import logging

from bigdata.errors import ConfigError
from bigdata.kafka.config import KafkaConfig, reachable

log = logging.getLogger(__name__)


def ensure_topic(config: KafkaConfig, topic: str, partitions: int = 3, replication_factor: int = -1) -> int:
    """Create a topic unless it exists; an existing one is left as it is.

    :param replication_factor: -1 takes the broker's default.
    :return: the number of partitions it has now.
    :raises ConfigError: the broker refuses the topic's name or numbers.
    :raises StackError: no broker answers.
    """
    from kafka import KafkaAdminClient
    from kafka.errors import InvalidTopicError, KafkaError, TopicAlreadyExistsError

    with reachable(config):
        admin = KafkaAdminClient(**config.client_options())
        try:
            admin.create_topics(
                {topic: {"num_partitions": partitions, "replication_factor": replication_factor}},
                wait_for_metadata=True,
            )
            log.info("Topic %s created with %d partitions", topic, partitions)
        except TopicAlreadyExistsError:
            log.info("Topic %s is there", topic)
        except (InvalidTopicError, ValueError) as error:
            raise ConfigError(f"topic {topic!r} cannot be created: {error}") from error
        try:
            (described,) = admin.describe_topics([topic])
        except (KafkaError, ValueError) as error:
            raise ConfigError(f"topic {topic!r} cannot be described: {error}") from error
        finally:
            admin.close()
    return len(described["partitions"])
