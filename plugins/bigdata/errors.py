"""The errors a user meets. Every message says what happened, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class BigdataError(Exception):
    """Base of all errors this library raises on purpose."""


class ConfigError(BigdataError):
    """A setting, parameter or connection is missing or has a value that makes no sense."""


class ManifestError(BigdataError):
    """A manifest is wrong.

    :param source: the file, or ``<inline>``.
    :param field: path of the field, such as ``spec.driver.cores``; empty for the document itself.
    """

    def __init__(self, source: str, field: str, problem: str) -> None:
        self.source, self.field, self.problem = source, field, problem
        super().__init__(f"{source}: {field}: {problem}" if field else f"{source}: {problem}")


class SubmitError(BigdataError):
    """An application could not be started at all, so nothing of it ran."""


class ApplicationFailed(BigdataError):
    """An application ran and failed.

    :param state: the raw state or exit code, as the runtime names it.
    :param reason: one line: the exception or the cause.
    :param last_lines: the driver log's last lines, oldest first.
    """

    def __init__(self, name: str, state: str, reason: str, last_lines: Sequence[str] = ()) -> None:
        self.name, self.state, self.reason, self.last_lines = name, state, reason, tuple(last_lines)
        tail = "" if self.last_lines == (reason,) else "".join(f"\n    {line}" for line in self.last_lines)
        super().__init__(f"{name} ended as {state}: {reason}{tail}")


class ApplicationGone(BigdataError):
    """An application vanished before it ended: somebody else deleted it, or it was cancelled."""


class ClusterError(BigdataError):
    """A Kubernetes API server refuses a request, or does not answer.

    :param what: the resource, such as ``sparkapplications.sparkoperator.k8s.io default/etl``.
    :param status: the HTTP status; 0 if there was no answer.
    :param is_transient: the same request may succeed in a moment.
    """

    def __init__(self, what: str, problem: str, status: int = 0, *, is_transient: bool = False) -> None:
        self.what, self.problem, self.status, self.is_transient = what, problem, status, is_transient
        super().__init__(f"{what}: {problem}")


class DeliveryError(BigdataError):
    """Records sent and records acknowledged, or read back, are not the same.

    :param topic: the Kafka topic.
    :param sent: records that should be there.
    :param acknowledged: records that are known to be there, once each.
    """

    def __init__(self, topic: str, sent: int, acknowledged: int, detail: str = "") -> None:
        self.topic, self.sent, self.acknowledged = topic, sent, acknowledged
        super().__init__(
            f"topic {topic}: {sent} records sent, {acknowledged} accounted for{': ' + detail if detail else ''}"
        )


class DataError(BigdataError):
    """Data breaks a rule: wrong columns, counts that do not add up, values out of range."""


class StackError(BigdataError):
    """A service of the stack is down or cannot start.

    :param service: ``kafka``, ``s3``, ``java`` and so on.
    :param hint: what the user can do, such as ``run: bigdata local up``.
    """

    def __init__(self, service: str, problem: str, hint: str = "") -> None:
        self.service, self.problem, self.hint = service, problem, hint
        super().__init__(f"{service}: {problem}{'. ' + hint if hint else ''}")
