"""A loopback proxy before the embedded S3 that refuses what a test tells it to; S3Mock itself knows no rights."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
BROKEN = b"<Error><Code>InternalError</Code><Message>We encountered an internal error</Message></Error>"
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@dataclass
class Gateway:
    """The proxy's address and what it does: each rule gets method and path and returns whether it applies."""

    url: str = ""
    deny: Callable[[str, str], bool] = lambda method, path: False
    lose_answer: Callable[[str, str], bool] = lambda method, path: False
    seen: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def gateway(upstream: str) -> Iterator[Gateway]:
    """Run the proxy before `upstream`, an http:// URL."""
    rules = Gateway()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            rules.seen.append((self.command, self.path))
            if rules.deny(self.command, self.path):
                return self.answer(403, {"Content-Type": "application/xml"}, DENIED)
            status, headers, answer = self.forward(body)
            if rules.lose_answer(self.command, self.path):
                return self.answer(500, {"Content-Type": "application/xml"}, BROKEN)
            return self.answer(status, headers, answer)

        def forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=60)
            headers = {key: value for key, value in self.headers.items() if key.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            with connection.getresponse() as response:
                return response.status, dict(response.getheaders()), response.read()

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            self.send_response(status)
            for key, value in headers.items():
                if key.lower() not in _HOP:
                    self.send_header(key, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rules.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield rules
    finally:
        server.shutdown()
        server.server_close()
