"""A line to the API server that a test can cut."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class Line:
    """Forwards a port of this machine to the API server of a kubeconfig, until it is cut."""

    def __init__(self, kubeconfig: Path) -> None:
        self._config = yaml.safe_load(kubeconfig.read_text())
        name = self._config["current-context"]
        (context,) = [item["context"] for item in self._config["contexts"] if item["name"] == name]
        (self._cluster,) = [item["cluster"] for item in self._config["clusters"] if item["name"] == context["cluster"]]
        target = urlsplit(self._cluster["server"])
        self._host, self._port = str(target.hostname), target.port or 443
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self.port = server.result(10).sockets[0].getsockname()[1]

    def kubeconfig(self, file: Path) -> Path:
        """Write a kubeconfig that takes this line."""
        self._cluster |= {"server": f"https://127.0.0.1:{self.port}", "tls-server-name": self._host}
        file.write_text(yaml.safe_dump(self._config))
        file.chmod(0o600)
        return file

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        self._is_cut = True
        self._loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in self._writers])

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, back}
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
        self._writers -= {writer, back}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
