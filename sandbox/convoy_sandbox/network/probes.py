# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubelet's HTTP and TCP probes, in its own words when they fail."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

from .patience import Patience

if TYPE_CHECKING:
    from ..store import Object

_MAX_HEAD = 65536


def port_number(container: Object, port: int | str) -> int:
    """A probe's port: a number, or the name of one of the container's ports."""
    if isinstance(port, int):
        return port
    for entry in container.get("ports") or ():
        if entry.get("name") == port:
            return int(entry["containerPort"])
    return int(port) if port.isdigit() else 0


class _Get(asyncio.Protocol):
    """Sends a request; the future gets the status code of the answer."""

    def __init__(self, request: bytes, answered: asyncio.Future[int]) -> None:
        self._request = request
        self._answered = answered
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - TCP always is
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._head += data
        line, end, _ = self._head.partition(b"\r\n")
        if self._answered.done() or not (end or len(self._head) > _MAX_HEAD):
            return
        parts = line.split(b" ")
        if len(parts) > 1 and parts[0].startswith(b"HTTP/") and parts[1].isdigit():
            self._answered.set_result(int(parts[1]))
        else:
            self._answered.set_exception(ConnectionError("malformed HTTP response"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc or EOFError("EOF"))


async def http_get(get: Object, ip: str, port: int, real: int, seconds: float) -> str:
    """An httpGet probe of the container's `port`, which is really at `real`; "" is success."""
    loop = asyncio.get_running_loop()
    scheme = get.get("scheme", "HTTP").lower()
    path = get.get("path", "/")
    host = get.get("host") or ip
    url = f"{scheme}://{host}:{port}{path if path.startswith('/') else '/' + path}"
    headers = {
        "Host": f"{ip}:{port}",
        "User-Agent": "kube-probe/1.36",
        "Accept": "*/*",
        "Connection": "close",
    }
    headers.update({entry["name"]: entry.get("value", "") for entry in get.get("httpHeaders") or ()})
    lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1"]
    request = "\r\n".join([*lines, *(f"{key}: {value}" for key, value in headers.items()), "", ""]).encode("latin-1")
    answered: asyncio.Future[int] = loop.create_future()
    transport: asyncio.BaseTransport | None = None
    try:
        async with Patience(seconds):
            transport, _ = await loop.create_connection(
                lambda: _Get(request, answered), ip, real, ssl=_unverified() if scheme == "https" else None
            )
            status = await answered
    except TimeoutError:
        return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    except ConnectionRefusedError:
        return f'Get "{url}": dial tcp {ip}:{port}: connect: connection refused'
    except (OSError, EOFError) as problem:
        return f'Get "{url}": {problem}'
    finally:
        if transport is not None:
            transport.close()
        # Seen, whoever ended first; where the probe ended first, nobody waits for the connection's end.
        if not answered.cancel() and not answered.cancelled():
            answered.exception()
    return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"


async def tcp(ip: str, port: int, real: int, seconds: float) -> str:
    """A tcpSocket probe; "" is success."""
    try:
        async with Patience(seconds):
            _, writer = await asyncio.open_connection(ip, real)
    except TimeoutError:
        return f"dial tcp {ip}:{port}: i/o timeout"
    except ConnectionRefusedError:
        return f"dial tcp {ip}:{port}: connect: connection refused"
    except OSError as problem:
        return f"dial tcp {ip}:{port}: {problem.strerror}"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
