"""An S3 account as a plain value, and the few things tasks do with it.

Delivery contract: an object is visible whole or not at all, because S3 shows an upload only once it is complete, and
:func:`put_file` reads the stored size back before it reports success.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bigdata.errors import ConfigError, DataError, StackError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObjectStore:
    """Where an S3 API is and how to sign for it. Empty credentials mean the environment's own (IRSA, Pod Identity)."""

    endpoint_url: str = ""
    region: str = "us-east-1"
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)

    def client(self) -> Any:
        """Make a boto3 client; with an endpoint of one's own, buckets go in the path."""
        import boto3
        from botocore.config import Config

        style = {"addressing_style": "path"} if self.endpoint_url else {}
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url or None,
            region_name=self.region,
            aws_access_key_id=self.access_key or None,
            aws_secret_access_key=self.secret_key or None,
            aws_session_token=self.session_token or None,
            config=Config(s3=style, connect_timeout=5, retries={"mode": "standard", "max_attempts": 3}),
        )

    def filesystem(self) -> Any:
        """Make a ``pyarrow.fs.S3FileSystem``; paths are ``bucket/key``."""
        from pyarrow.fs import S3FileSystem

        options: dict[str, Any] = {"region": self.region}
        if self.access_key:
            options |= {"access_key": self.access_key, "secret_key": self.secret_key}
            options |= {"session_token": self.session_token} if self.session_token else {}
        if self.endpoint_url:
            scheme, _, host = self.endpoint_url.partition("://")
            options |= {"scheme": scheme, "endpoint_override": host.rstrip("/")}
        return S3FileSystem(**options)


def split_uri(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key`` (or ``s3a://``) into bucket and key.

    :raises ConfigError: it is no such URI.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in ("s3", "s3a") or not bucket:
        raise ConfigError(f"{uri!r} is no s3:// URI")
    return bucket, key


def ensure_bucket(store: ObjectStore, bucket: str) -> None:
    """Create a bucket of ours unless it exists.

    :raises DataError: it belongs to somebody else, or we may not look at or create it.
    :raises StackError: nothing answers at the endpoint.
    """
    client = store.client()
    with s3_errors(store, f"bucket {bucket}"):
        if bucket in {item["Name"] for item in client.list_buckets()["Buckets"]}:
            return
        location = {} if store.region == "us-east-1" else {"LocationConstraint": store.region}
        client.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": location} if location else {}))
        log.info("Bucket %s created", bucket)


def put_file(store: ObjectStore, path: Path, bucket: str, key: str, content_type: str) -> str:
    """Upload a file whole and check its stored size.

    :return: its ``s3://`` URI.
    :raises DataError: the store refused it, or holds another number of bytes.
    :raises StackError: nothing answers at the endpoint.
    """
    uri = f"s3://{bucket}/{key}"
    client = store.client()
    with s3_errors(store, uri):
        client.upload_file(str(path), bucket, key, ExtraArgs={"ContentType": content_type})
        stored = client.head_object(Bucket=bucket, Key=key)["ContentLength"]
    if stored != path.stat().st_size:
        raise DataError(f"{uri}: {path.stat().st_size} bytes sent, {stored} stored")
    return uri


@contextmanager
def s3_errors(store: ObjectStore, what: str) -> Iterator[None]:
    """Turn boto's errors into one clear line.

    :raises StackError: nothing answers at the endpoint.
    :raises DataError: the store said no.
    """
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

    try:
        yield
    except (EndpointConnectionError, ConnectTimeoutError) as error:
        raise StackError(
            "s3", f"nothing answers at {store.endpoint_url or 'AWS'}", "The embedded S3 is started by: bigdata local up"
        ) from error
    except (ClientError, S3UploadFailedError) as error:
        raise DataError(f"{what}: {error}") from error
    except BotoCoreError as error:
        raise ConfigError(f"{what}: {error}") from error
