"""What the stack knows of a service: how to prepare it, how to start it, and whether it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bigdata.local.java import Java


@dataclass(frozen=True)
class Site:
    """Where one service lives.

    :param state_dir: the stack's folder.
    :param name: of the service.
    :param project_dir: the checkout.
    :param port: the one that clients use, on loopback.
    :param inner_port: a second one, for services that need it; else 0.
    :param class_path: as ``java -cp`` takes it.
    """

    state_dir: Path
    project_dir: Path
    name: str
    port: int
    inner_port: int
    class_path: str
    java: Java

    @property
    def data(self) -> Path:
        """Its own folder, kept from one start to the next; the service runs in the folder above it."""
        return self.state_dir / "data" / self.name

    @property
    def conf(self) -> Path:
        """A folder for files written anew at each start."""
        return self.state_dir / "stack" / self.name


class Service(ABC):
    """One service; instances hold no state, so that any process can make one and ask."""

    name: str
    version: ClassVar[str]
    main_class: ClassVar[str]
    #: key of ``jars.JAR_SETS``, or None when pyspark's own jars will do
    jar_set: ClassVar[str | None]
    #: where the search for a free port starts
    first_port: ClassVar[int]
    needs_inner_port: ClassVar[bool] = False

    @abstractmethod
    def prepare(self, site: Site) -> None:
        """Make data folder and configuration ready; must be safe to repeat after a crash at any point.

        :raises StackError: when the data folder is damaged and only the user can decide what to do.
        """

    def command(self, site: Site, mark: str) -> Sequence[str]:
        """What to run; ``mark`` must be a word of its own in it."""
        java = [str(site.java.executable), *self.jvm_options(site), "-XX:+ExitOnOutOfMemoryError", mark]
        return [*java, "-cp", site.class_path, self.main_class, *self.arguments(site)]

    def jvm_options(self, site: Site) -> Sequence[str]:
        """Options of the Java process."""
        return ()

    def arguments(self, site: Site) -> Sequence[str]:
        """Arguments of the main class."""
        return ()

    def environment(self, site: Site) -> dict[str, str]:
        """Environment variables beyond the few that every service gets."""
        return {}

    @abstractmethod
    def answers(self, port: int, timeout: float) -> bool:
        """Whether the service answers a real request, as a client makes it, within ``timeout`` seconds."""

    @abstractmethod
    def url(self, port: int) -> str:
        """How clients address it."""
