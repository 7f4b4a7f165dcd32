"""Hadoop's FileSystem for jobs: it knows every URI that Spark knows, and the credentials that Spark has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession

# What Hadoop's exceptions mean to a person; the first one named in a failure's text counts.
MEANINGS = {
    "UnknownStoreException": "the bucket does not exist: create it, or check its name",
    "AccessDeniedException": "access denied: check the credentials in the environment and the bucket's policy",
    "Status Code: 403": "access denied: check the credentials in the environment and the bucket's policy",
    "AccessControlException": "access denied: check the owner and mode of the folder",
    "CredentialInitializationException": "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "NoAuthWithAWSException": "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ConnectException": "the store does not answer: check fs.s3a.endpoint, and that it runs",
    "UnknownHostException": "the store's host name is unknown: check fs.s3a.endpoint",
    "ParentNotDirectoryException": "cannot be written: a file lies where a folder must be",
    "Mkdirs failed": "cannot be written: check owner and mode of the folder above",
    "UnsupportedFileSystemException": "no file system is known for this URI's scheme",
}
_URI = re.compile(r"\b(?:s3a?|file|hdfs):/[^\s'`\"]*[^\s'`\":,.]")


class JobError(Exception):
    """The input or the output is not as it must be; the message is one line and says what to do."""


class Store:
    """The few file operations of a job, through Hadoop's FileSystem, which knows every URI that Spark knows."""

    def __init__(self, spark: SparkSession, uri: str) -> None:
        self._jvm: Any = spark._jvm
        self._conf = spark._jsc.hadoopConfiguration()
        fs = self._path(uri).getFileSystem(self._conf)
        self.scheme: str = fs.getUri().getScheme()
        # Hadoop keeps a file's checksum in a second file, which no rename moves in the same instant: go without.
        self._fs = fs.getRaw() if self.scheme == "file" else fs

    def _path(self, uri: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(uri)

    def files(self, uri: str) -> list[tuple[str, int]]:
        """Return files and their bytes: `uri` itself, what lies in it, or what its glob matches; no hidden names."""
        found: list[Any] = []
        for status in self._fs.globStatus(self._path(uri)) or ():
            found += self._fs.listStatus(status.getPath()) if status.isDirectory() else [status]
        shown = [item for item in found if item.isFile() and not item.getPath().getName().startswith(("_", "."))]
        return [(item.getPath().toString(), item.getLen()) for item in shown]

    def folders(self, uri: str) -> list[str]:
        """Return the names of the folders in `uri`; none if it does not exist."""
        if not self._fs.exists(self._path(uri)):
            return []
        return [item.getPath().getName() for item in self._fs.listStatus(self._path(uri)) if item.isDirectory()]

    def head(self, uri: str, size: int) -> bytes:
        """Return the first `size` bytes of a file, unpacked if its name says that it is compressed."""
        codec = self._jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(self._conf).getCodec(self._path(uri))
        stream = self._fs.open(self._path(uri))
        try:
            return bytes((codec.createInputStream(stream) if codec else stream).readNBytes(size))
        finally:
            stream.close()

    def exists(self, uri: str) -> bool:
        """Tell whether there is a file or folder."""
        return bool(self._fs.exists(self._path(uri)))

    def replace(self, uri: str, text: str, scratch: str) -> None:
        """Write a small file so that readers see the old text or the new, never a part and never nothing.

        :param scratch: where a file system may write the text before it renames it; an object store has no need.
        """
        target = uri if self.scheme == "s3a" else scratch
        stream = self._fs.create(self._path(target), True)
        stream.write(text.encode())
        stream.close()
        if target != uri:
            self.rename(target, uri)

    def create(self, uri: str, text: str) -> None:
        """Write a small file to an object store, which refuses it if there is one by that name, also if another
        process writes that at the same moment.
        """
        # In Hadoop's words: not looked for at the begin, but when the stream is closed (If-None-Match).
        options = self._fs.createFile(self._path(uri)).recursive().overwrite(True)
        stream = options.must("fs.option.create.conditional.overwrite", True).build()
        stream.write(text.encode())
        stream.close()

    def rename(self, source: str, target: str) -> None:
        """Rename a file over another one; atomic on a file system."""
        if not self._fs.rename(self._path(source), self._path(target)):
            raise JobError(f"{target}: could not be replaced by {source}")

    def delete(self, uri: str) -> None:
        """Remove a folder and all in it; fine if there is none."""
        self._fs.delete(self._path(uri), True)


def explained(error: Exception, default_uri: str) -> tuple[str, bool]:
    """Return one line that says what failed on the JVM's side, and whether that is a cause we know.

    :param default_uri: what it was about, if the failure itself does not say.
    """
    text, said = str(error), detail(error)
    if not (known := meaning(text, MEANINGS)):
        return said, False
    uri = _URI.search(text)
    return f"{uri[0] if uri else default_uri}: {known} ({said})", True


def detail(error: Exception) -> str:
    """The innermost cause on the JVM's side, in one line."""
    cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    while cause is not None and cause.getCause() is not None:
        cause = cause.getCause()
    text = f"{cause.getClass().getSimpleName()}: {cause.getMessage()}" if cause is not None else str(error)
    return " ".join(text.split())[:300]


def meaning(text: str, meanings: Mapping[str, str]) -> str:
    """What the exception that a failure's text names first means; empty if none is known."""
    known = sorted((text.index(name), said) for name, said in meanings.items() if name in text)
    return known[0][1] if known else ""
