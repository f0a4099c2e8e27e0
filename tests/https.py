"""A server for HTTPS on 127.0.0.1 that a test writes the answers of."""

from __future__ import annotations

import base64
import contextlib
import http.server
import threading
from collections.abc import Iterator

from convoy_sandbox import certificates


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers, and tells nobody of it."""

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """With room for clients that a busy machine takes in later."""

    daemon_threads = True
    request_queue_size = 128


@contextlib.contextmanager
def served(handler: type[Handler]) -> Iterator[tuple[http.server.ThreadingHTTPServer, str]]:
    """The server, until it is closed, and the authority that it is to be trusted by (base64)."""
    made = certificates.make()
    server = Server(("127.0.0.1", 0), handler)
    server.socket = made.server_context().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server, base64.b64encode(made.ca).decode()
    finally:
        server.shutdown()
        server.server_close()
