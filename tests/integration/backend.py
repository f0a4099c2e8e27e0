"""A back end of the tests' own: backend.py VERSION [MODE...], at $POD_IP:8080.

page         a page that names no version
error        answers every request with 500
private      answers those only who know its name and a token, others 400 and 401
http2        answers in HTTP/2, whatever comes
metrics      counts its requests at port 9090, and says another version there
"""

from __future__ import annotations

import http.server
import json
import os
import socket
import socketserver
import sys
import threading

VERSION, MODES = sys.argv[1], sys.argv[2:]
ADDRESS = os.environ["POD_IP"]
SETTINGS = bytes.fromhex("000000040000000000")


class Handler(http.server.BaseHTTPRequestHandler):
    """What is answered."""

    said = json.dumps({"version": VERSION})

    def do_GET(self) -> None:
        """Answer as the modes say."""
        if "private" in MODES and self.headers.get("Host") != "shop.example.com":
            self.answer(400, "bad request")
        elif "private" in MODES and self.headers.get("X-Token") != "s3cr3t-t0ken":
            self.answer(401, "who are you")
        else:
            self.answer(500 if "error" in MODES else 200, "<h1>Shop</h1>" if "page" in MODES else self.said)

    def answer(self, status: int, body: str) -> None:
        """Write an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Metrics(Handler):
    """What a port for metrics answers."""

    said = json.dumps({"version": "of the metrics"})


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A server with a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128


def http2() -> None:
    """Begin HTTP/2 with whoever comes."""
    with socket.create_server((ADDRESS, 8080)) as listening:
        while True:
            connection, _peer = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(SETTINGS)


if "metrics" in MODES:
    threading.Thread(target=Server((ADDRESS, 9090), Metrics).serve_forever, daemon=True).start()
if "http2" in MODES:
    http2()
Server((ADDRESS, 8080), Handler).serve_forever()
