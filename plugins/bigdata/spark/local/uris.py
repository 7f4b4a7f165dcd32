"""Where a manifest's files lie on this machine.

``local://`` means a file of the Spark image. Two of its folders have a counterpart here: the jobs' folder is the
repository's, and Spark's own folder is that of the installed pyspark. All other schemes are left to Spark, which
fetches them itself.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from bigdata.errors import SubmitError
from bigdata.spark.manifest.rules import INTERNAL

IMAGE_SPARK_HOME = PurePosixPath("/opt/spark")

_FETCHED = ("http", "https", "s3a")


@dataclass(frozen=True)
class FileMap:
    """Folders of the image and their counterparts here.

    :param image_jobs_root: the image's folder of jobs.
    :param jobs_root: the repository's.
    :param spark_home: pyspark's folder, which stands for the image's :data:`IMAGE_SPARK_HOME`.
    """

    image_jobs_root: PurePosixPath
    jobs_root: Path
    spark_home: Path

    def resolve(self, uri: str, field: str, hadoop_schemes: frozenset[str] = frozenset()) -> str:
        """A URI as spark-submit takes it on this machine.

        :param field: of the manifest, for messages.
        :param hadoop_schemes: schemes that the manifest's Hadoop settings define, beyond those that work anyway.
        :raises SubmitError: there is no such file, or nothing here can fetch it.
        """
        if uri == INTERNAL:
            return uri
        # What follows a # is the name that an archive or file gets; it is no part of the path.
        address, mark, alias = uri.partition("#")
        scheme = urlsplit(address).scheme.lower()
        if scheme in ("local", "file"):
            return self._local(address, scheme, field) + mark + alias
        if scheme in _FETCHED or scheme in hadoop_schemes:
            return uri
        known = ", ".join(f"{name}://" for name in ("local", "file", *_FETCHED))
        raise SubmitError(
            f"{field}: cannot fetch {uri} here; possible are {known} and what hadoopConf's fs.*.impl define"
        )

    def _local(self, address: str, scheme: str, field: str) -> str:
        # normpath, so that .. cannot lead out of the mapped folder unseen; it keeps two leading slashes.
        path = PurePosixPath("/" + posixpath.normpath(unquote(urlsplit(address).path)).lstrip("/"))
        if urlsplit(address).netloc not in ("", "localhost"):
            raise SubmitError(f"{field}: {address} names a host: write {scheme}:///path with three slashes")
        here = self._counterpart(path, field, address) if scheme == "local" else Path(path)
        pattern = any(char in here.name for char in "*?[")
        if not (any(here.parent.glob(here.name)) if pattern else here.exists()):
            where = (
                f"{address} is {here} on this machine, which does not exist"
                if scheme == "local"
                else f"{here} does not exist"
            )
            raise SubmitError(f"{field}: {where}")
        return "file://" + (str(here) if pattern else quote(str(here)))

    def _counterpart(self, path: PurePosixPath, field: str, address: str) -> Path:
        for image, here in ((self.image_jobs_root, self.jobs_root), (IMAGE_SPARK_HOME, self.spark_home)):
            if path.is_relative_to(image):
                return here / path.relative_to(image)
        raise SubmitError(
            f"{field}: {address} lies in the image, and only {self.image_jobs_root} (here {self.jobs_root}) and "
            f"{IMAGE_SPARK_HOME} (here {self.spark_home}) have a counterpart on this machine"
        )
