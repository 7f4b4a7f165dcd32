"""Being a member of a consumer group: what it gives and takes, and how to leave it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bigdata.kafka.config import KafkaConfig, admin_of

if TYPE_CHECKING:
    from bigdata.kafka.reader import Reader

log = logging.getLogger(__name__)


def listener(reader: Reader) -> Any:
    """Settles what the reader's caller has open before the group gives its partitions to others."""
    from kafka import ConsumerRebalanceListener

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked: Any) -> None:
            reader.settle()

        def on_partitions_assigned(self, assigned: Any) -> None:
            parts = ", ".join(str(part.partition) for part in sorted(assigned))
            log.info("Group %s: %s", reader.group, parts or "none")

        def on_partitions_lost(self, lost: Any) -> None:
            log.warning("Group %s has gone on without this member: its records will be read again", reader.group)

    return Listener()


def members(config: KafkaConfig, group: str) -> int:
    """How many members a group has.

    :raises kafka.errors.KafkaError: the brokers do not say.
    """
    with admin_of(config) as admin:
        return len(admin.describe_groups([group])[group]["members"])


def leave(config: KafkaConfig, group: str, member: str) -> None:
    """Take a named member out of its group, which the client does only for those without a name."""
    from kafka.admin import MemberToRemove

    with admin_of(config) as admin:
        admin.remove_group_members(group, [MemberToRemove(group_instance_id=member)])
