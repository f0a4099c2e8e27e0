"""gRPC probes of servers that are well, that are not, and that are none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import pytest
from convoy_sandbox.network import grpc_probe
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from unit.sandbox.network.support import addresses

GOOD = {"grpc-status": "0"}
SERVING, NOT_SERVING, UNKNOWN = b"\x08\x01", b"\x08\x02", b""


class Asked(NamedTuple):
    path: str
    kind: str
    message: bytes


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4) + message


class Server:
    """Answers each call with a message and trailers, or with trailers alone, or never."""

    def __init__(self, message: bytes | None, trailers: dict[str, str] | None, status: str = "200") -> None:
        self._message, self._trailers, self._status = message, trailers, status
        self.asked: list[Asked] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        headers: dict[str, str] = {}
        body = b""
        writer.write(http.data_to_send())
        while data := await reader.read(65536):
            for event in http.receive_data(data):
                if isinstance(event, RequestReceived):
                    headers = {str(key): str(value) for key, value in event.headers or ()}
                elif isinstance(event, DataReceived):
                    body += event.data or b""
                elif isinstance(event, StreamEnded):
                    self.asked.append(Asked(headers[":path"], headers["content-type"], body))
                    self._answer(http, event.stream_id)
            writer.write(http.data_to_send())
        writer.close()

    def _answer(self, http: H2Connection, stream: int) -> None:
        first = [(":status", self._status), ("content-type", "application/grpc")]
        if self._trailers is None:
            return
        if self._message is None:
            http.send_headers(stream, [*first, *self._trailers.items()], end_stream=True)
            return
        http.send_headers(stream, first)
        http.send_data(stream, framed(self._message))
        http.send_headers(stream, list(self._trailers.items()), end_stream=True)


def probed(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object], service: str = "", seconds: float = 300
) -> str:
    async def run() -> str:
        with addresses() as block:
            ip = block.pods.take()
            server = await asyncio.start_server(serve, ip, 0)  # type: ignore[arg-type]
            try:
                real = server.sockets[0].getsockname()[1]
                return (await grpc_probe.check(ip, 50051, real, service, seconds)).replace(ip, "IP")
            finally:
                server.close()

    return asyncio.run(run())


@pytest.mark.parametrize(("service", "message"), [("", b""), ("shop", b"\x0a\x04shop"), (200 * "s", b"\x0a\xc8\x01")])
def test_a_server_that_is_well(service: str, message: bytes) -> None:
    server = Server(SERVING, GOOD)
    assert probed(server, service) == ""
    ((path, kind, asked),) = server.asked
    assert (path, kind) == ("/grpc.health.v1.Health/Check", "application/grpc")
    assert asked[5:].startswith(message)
    assert int.from_bytes(asked[1:5]) == len(asked) - 5


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (Server(NOT_SERVING, GOOD), 'service unhealthy (responded with "NOT_SERVING")'),
        (Server(UNKNOWN, GOOD), 'service unhealthy (responded with "UNKNOWN")'),
        (
            Server(None, {"grpc-status": "5", "grpc-message": "unknown service"}),
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service",
        ),
        (
            Server(None, {"grpc-status": "12", "grpc-message": "unknown service grpc.health.v1.Health"}),
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
            "unknown service grpc.health.v1.Health",
        ),
        (
            Server(None, {}, status="404"),
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
            "unexpected HTTP status code 404",
        ),
    ],
)
def test_one_that_is_not(server: Server, said: str) -> None:
    assert probed(server) == said


def test_one_that_does_not_answer() -> None:
    assert probed(Server(None, None), seconds=0.3) == "timeout: health rpc did not complete within 0.3s"


def test_what_speaks_something_else_is_tried_until_time_is_up() -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    said = 'timeout: failed to connect service "IP:50051" within 0.3s: context deadline exceeded'
    assert probed(plain, seconds=0.3) == said
