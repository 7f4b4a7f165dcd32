"""Avro whose schemas are in a registry: the wire format of Confluent's, which Karapace and Apicurio speak, too.

Each value begins with a zero byte and the number of the schema it was written with, so that a reader needs no schema of
its own and one that has evolved still reads what is old.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bigdata.errors import ConfigError, StackError
from bigdata.kafka.formats import Schema, parse, read, write
from bigdata.kafka.records import BadRecord, Record

_MAGIC = 0
_PREFIX = struct.Struct(">bI")


class RegistryAvro:
    """Avro with its schemas in a registry.

    :param properties: ``schema.registry.url``; ``schema.registry.basic.auth.user.info`` as user:password.
    :param subject: under which the schema is registered: by custom ``<topic>-value``.
    :param schema: to write with, and what readers get values as; without one, nothing can be written.
    :raises ConfigError: the client of the registry is not installed, or it is no Avro schema.
    """

    def __init__(self, properties: Mapping[str, str], subject: str, schema: Schema | None = None) -> None:
        self._client, self._url = _client(properties)
        self._subject, self._given = subject, schema
        self._schema = parse(schema) if schema is not None else None
        self._id: int | None = None
        self._parsed: dict[int, Any] = {}

    def encode(self, value: Any) -> bytes | None:
        """See :class:`bigdata.kafka.formats.Format`; the first call registers the schema.

        :raises ConfigError: there is no schema, or the registry refuses it as incompatible with earlier ones.
        :raises StackError: the registry does not answer.
        """
        if value is None:
            return None
        if self._schema is None:
            raise ConfigError(f"subject {self._subject}: writing needs a schema")
        if self._id is None:
            self._id = self._register()
        return _PREFIX.pack(_MAGIC, self._id) + write(self._schema, value)

    def decode(self, record: Record) -> Any:
        """See :class:`bigdata.kafka.formats.Format`.

        :raises StackError: the registry does not answer.
        """
        data = record.value
        if data is None:
            return None
        if len(data) < _PREFIX.size or data[0] != _MAGIC:
            raise BadRecord("not written with a schema registry: it does not begin with the number of a schema")
        number = _PREFIX.unpack_from(data)[1]
        if number not in self._parsed:
            self._parsed[number] = self._look_up(number)
        return read(self._parsed[number], data[_PREFIX.size :], self._schema)

    def _register(self) -> int:
        from schema_registry.client.errors import ClientError
        from schema_registry.client.schema import AvroSchema

        with self._answering():
            try:
                return int(self._client.register(self._subject, AvroSchema(dict(self._given or {}))))
            except ClientError as error:
                if error.http_code in (409, 422):
                    raise ConfigError(f"{self._url} refuses the schema of {self._subject}: {error}") from error
                raise

    def _look_up(self, number: int) -> Any:
        with self._answering():
            found = self._client.get_by_id(number)
        if found is None:
            raise BadRecord(f"written with schema {number}, which {self._url} does not know")
        return parse(found.raw_schema)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from httpx import HTTPError
        from schema_registry.client.errors import ClientError

        try:
            yield
        except (ClientError, HTTPError) as error:
            status, hint = getattr(error, "http_code", None), "Check schema.registry.url of the connection"
            problem = f"{self._url} does not answer: {str(error) or type(error).__name__}"
            if status in (401, 403):
                problem = f"{self._url} lets nobody in by these credentials ({status})"
                hint = "Check schema.registry.basic.auth.user.info of the connection"
            elif status:
                problem = f"{self._url} answers {status}: {error}"
            raise StackError("schema registry", problem, hint) from error


def _client(properties: Mapping[str, str]) -> tuple[Any, str]:
    try:
        from httpx import BasicAuth
        from schema_registry.client import SchemaRegistryClient
    except ImportError:
        raise ConfigError(
            "schema.registry.url needs the client of schema registries: pip install 'airflow-bigdata[registry]'"
        ) from None
    url = properties["schema.registry.url"]
    user, _, password = properties.get("schema.registry.basic.auth.user.info", "").partition(":")
    return SchemaRegistryClient(url, auth=BasicAuth(user, password) if user else None), url
