"""Where a runtime tells what it finds out while a task runs: the task's log, its links and its XComs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from bigdata.links import KEYS, pod_xcoms
from bigdata.spark.pages import Page

log = logging.getLogger(__name__)


class Told:
    """What is known of one run; each thing is pushed once.

    :param line: gets what is for the task's log.
    :param pages: gets the pages' addresses, for links asked for in this process.
    :param ti: the task instance.
    :ivar pushed: XComs by key.
    """

    def __init__(self, line: Callable[[str], None], pages: dict[str, str], ti: Any) -> None:
        self.line, self._pages, self._ti = line, pages, ti
        self.pushed: dict[str, str] = {}

    def page(self, page: Page, url: str) -> None:
        """Tell a page's address."""
        if url and self._push(KEYS[page], url):
            self._pages[page] = url
            log.info("%s: %s", page, url)

    def pod(self, namespace: str, name: str) -> None:
        """Tell where the driver's pod is."""
        for key, value in pod_xcoms(namespace, name).items():
            self._push(key, value)

    def _push(self, key: str, value: str) -> bool:
        if self.pushed.get(key) == value:
            return False
        try:
            self._ti.xcom_push(key=key, value=value)
            self.pushed[key] = value
        except Exception as error:  # a link is not worth the application
            log.warning("XCom %s could not be pushed: %s: %s", key, type(error).__name__, error)
        return True
