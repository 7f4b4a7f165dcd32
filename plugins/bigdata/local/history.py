"""Spark's history server over the event logs in ``<state_dir>/spark-events``, from pyspark's own jars."""

from __future__ import annotations

import http.client
from collections.abc import Sequence

from bigdata.local.ports import HOST
from bigdata.local.service import Service, Site
from bigdata.spark.packages import SPARK_VERSION

EVENTS = "spark-events"


class History(Service):
    """The history server; not part of a plain ``up``."""

    name = "history"
    version = SPARK_VERSION
    main_class = "org.apache.spark.deploy.history.HistoryServer"
    jar_set = None
    first_port = 18080

    def prepare(self, site: Site) -> None:
        """See :class:`Service`."""
        site.data.mkdir(parents=True, exist_ok=True)
        (site.state_dir / EVENTS).mkdir(parents=True, exist_ok=True)

    def jvm_options(self, site: Site) -> Sequence[str]:
        """See :class:`Service`."""
        return [
            "-Xmx384m",
            "-XX:+UseSerialGC",
            f"-Dspark.history.fs.logDirectory={(site.state_dir / EVENTS).as_uri()}",
            "-Dspark.history.fs.update.interval=5s",
            f"-Dspark.history.ui.port={site.port}",
        ]

    def environment(self, site: Site) -> dict[str, str]:
        """The address it binds to, for which there is no property."""
        return {"SPARK_LOCAL_IP": HOST}

    def answers(self, port: int, timeout: float) -> bool:
        """List the applications."""
        link = http.client.HTTPConnection(HOST, port, timeout=timeout)
        try:
            link.request("GET", "/api/v1/applications")
            answer = link.getresponse()
            return answer.status == 200 and answer.read().lstrip().startswith(b"[")
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()

    def url(self, port: int) -> str:
        """The page."""
        return f"http://{HOST}:{port}"
