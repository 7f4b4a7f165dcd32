"""Links on a task's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class SparkUILink(BaseOperatorLink):
    """The Spark UI while the application runs, the history server's page of it afterwards, where there is one.

    Airflow asks an operator for its links when the task has ended; the operator pushes the running UI's address under
    :attr:`xcom_key` itself as soon as the driver tells it.
    """

    name = "Spark UI"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Tell where the UI is now; empty when it is gone."""
        return getattr(operator, "spark_ui_url", "")
