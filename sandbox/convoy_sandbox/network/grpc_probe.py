# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubelet's gRPC probe: one call of the gRPC health protocol, and the kubelet's words where it fails."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from .patience import Patience

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_AGAIN = 0.1  #: seconds after which a connection that failed is tried again, until time is up
_OK, _UNIMPLEMENTED = 0, 12
#: The names of gRPC's status codes, by their numbers.
_CODES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
    "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
    "DataLoss", "Unauthenticated",
)  # fmt: skip
_STATUS = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")  #: of grpc.health.v1.HealthCheckResponse
_PREFIX = 5  #: bytes in front of a message: whether it is compressed, and its length


@dataclass
class _Answer:
    """What came back of the call."""

    headers: dict[str, str] = field(default_factory=dict)  #: with the trailers
    body: bytes = b""
    over: bool = False


async def check(ip: str, port: int, real: int, service: str, seconds: float) -> str:
    """A gRPC probe of the container's `port`, which is really at `real`; "" is success."""
    address, within = f"{ip}:{port}", f"{seconds:g}s"
    connected = False
    try:
        async with Patience(seconds):
            while True:  # as gRPC's client, which reports nothing but that time is up
                with contextlib.suppress(OSError, EOFError, ProtocolError):
                    async with _connected(ip, real) as connection:
                        connected = True
                        return _said(await connection.called(address, service))
                connected = False
                await asyncio.sleep(_AGAIN)
    except TimeoutError:
        if connected:
            return f"timeout: health rpc did not complete within {within}"
        return f'timeout: failed to connect service "{address}" within {within}: context deadline exceeded'


def _said(answer: _Answer) -> str:
    status = answer.headers.get(":status", "200")
    code = int(answer.headers.get("grpc-status", _OK if status == "200" else _UNIMPLEMENTED if status == "404" else 2))
    message = answer.headers.get("grpc-message", "" if status == "200" else f"unexpected HTTP status code {status}")
    if code == _UNIMPLEMENTED:
        return f"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {message}"
    if code != _OK:
        name = _CODES[code] if code < len(_CODES) else f"Code({code})"
        return f"error: health rpc probe failed: rpc error: code = {name} desc = {message}"
    # Of the message only its first field is there, if it is not 0: the status, a number below 128.
    read = answer.body[_PREFIX:]
    number = read[1] if len(read) > 1 and read[0] == 8 else 0
    found = _STATUS[number] if number < len(_STATUS) else str(number)
    return "" if found == "SERVING" else f'service unhealthy (responded with "{found}")'


class _Connection:
    """An HTTP/2 connection for one call."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._http.initiate_connection()

    async def ready(self) -> None:
        """Return when the server has said its settings. Raises OSError, EOFError, ProtocolError."""
        while not any(isinstance(event, RemoteSettingsChanged) for event in await self._events()):
            pass

    async def called(self, address: str, service: str) -> _Answer:
        """Ask for the health of a service. Raises OSError, EOFError, ProtocolError."""
        stream = self._http.get_next_available_stream_id()
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": "/grpc.health.v1.Health/Check",
            ":authority": address,
            "content-type": "application/grpc",
            "user-agent": "kube-probe/1.36",
            "te": "trailers",
        }
        name = service.encode()
        message = bytes([10]) + _varint(len(name)) + name if name else b""
        self._http.send_headers(stream, list(headers.items()))
        self._http.send_data(stream, b"\0" + len(message).to_bytes(4) + message, end_stream=True)
        answer = _Answer()
        while not answer.over:
            for event in await self._events():
                if isinstance(event, (ResponseReceived, TrailersReceived)):
                    answer.headers.update((str(key), str(value)) for key, value in event.headers or ())
                elif isinstance(event, DataReceived):
                    answer.body += event.data or b""
                elif isinstance(event, StreamReset):
                    answer.headers.setdefault("grpc-status", "14")
                answer.over = answer.over or isinstance(event, (StreamEnded, StreamReset))
        return answer

    async def _events(self) -> list[Event]:
        self._writer.write(self._http.data_to_send())
        data = await self._reader.read(65536)
        if not data:
            raise EOFError
        events = self._http.receive_data(data)
        self._writer.write(self._http.data_to_send())
        if any(isinstance(event, ConnectionTerminated) for event in events):
            raise EOFError
        return events


@contextlib.asynccontextmanager
async def _connected(ip: str, real: int) -> AsyncIterator[_Connection]:
    reader, writer = await asyncio.open_connection(ip, real)
    try:
        connection = _Connection(reader, writer)
        await connection.ready()
        yield connection
    finally:
        writer.close()


def _varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])
