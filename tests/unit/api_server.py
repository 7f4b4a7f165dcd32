"""A Kubernetes API server of the test's own, by real HTTP: for answers that a real one gives when it pleases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# Takes method, path and query; gives status and body: an object, or what is sent piece by piece. An exception among
# the pieces breaks the connection.
Answer = Callable[[str, str, dict[str, str]], tuple[int, Any]]


@contextmanager
def api_server(answer: Answer) -> Iterator[str]:
    """Serve; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            status, body = answer(self.command, url.path, dict(parse_qsl(url.query, keep_blank_values=True)))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if isinstance(body, dict):
                data = json.dumps(body).encode()
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.close_connection = True
            for piece in body:
                if isinstance(piece, Exception):
                    return
                data = piece if isinstance(piece, bytes) else json.dumps(piece).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = do_PATCH = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
