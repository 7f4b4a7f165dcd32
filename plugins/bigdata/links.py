"""Links on a task's page, and what else a task tells while it runs.

Airflow asks an operator for its links when the task has ended; what is known earlier, the operator or its trigger
pushes under :attr:`PageLink.xcom_key` itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from bigdata.spark.pages import Page

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class PageLink(BaseOperatorLink):
    """A link to one page, out of the operator's ``pages``."""

    page: Page

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Tell where the page is now; empty when it is gone."""
        return str(getattr(operator, "pages", {}).get(self.page, ""))


class SparkUILink(PageLink):
    """The Spark UI while the application runs, the history server's page of it afterwards, where there is one."""

    name = page = Page.UI


class HistoryServerLink(PageLink):
    """The history server's page, where ``[bigdata] history_server_url`` names a server."""

    name = page = Page.HISTORY


class DriverLogLink(PageLink):
    """The driver's log in the cluster's log store, where ``[bigdata] driver_log_url`` names one."""

    name = page = Page.DRIVER_LOG


def pod_xcoms(namespace: str, pod: str) -> dict[str, str]:
    """The XComs that tell where the driver's pod is, by the provider's keys."""
    return {"pod_name": pod, "pod_namespace": namespace}


LINKS: tuple[PageLink, ...] = (SparkUILink(), HistoryServerLink(), DriverLogLink())
KEYS = {link.page: link.xcom_key for link in LINKS}
