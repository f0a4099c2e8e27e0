# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's two programs, hello and auth, as small HTTP servers on the sandbox's event loop.

They answer as the images kelseyhightower/hello and kelseyhightower/auth do: HTTP on port 80, health
on port 81, both kept open until the last request is answered when they are told to stop.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import functools
import hashlib
import hmac
import json
import random
import secrets
import time
from collections import deque
from decimal import Decimal
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from .. import quantities, times
from .addresses import Ports, PortTakenError
from .containers import LogLine, StartError
from .patience import Patience
from .sockets import Listener, Wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .images import Image

_LOG_LINES = 1000
_MAX_HEADER = 65536
#: How long a connection that has not asked anything yet may hold up the end.
_PATIENCE_SECONDS = 1.0
_SIGNING_KEY = b"123456789"  # the lab's images have it built in, so that each takes the other's tokens
_TOKEN_SECONDS = 72 * 3600


class Base:
    """What every container of the sandbox has: an id, bounded logs, an exit code to come."""

    def __init__(self) -> None:
        self.container_id = f"containerd://{secrets.token_hex(32)}"
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.end_reason = ""
        self.end_message = ""
        self._lines: deque[LogLine] = deque(maxlen=_LOG_LINES)
        self._printed = 0

    def log(self, line: str) -> None:
        """Print a line."""
        self._lines.append(LogLine(self._printed, times.now().timestamp(), line))
        self._printed += 1

    def logs(self) -> str:
        """Everything printed, newest last; of much only the last thousand lines."""
        return "".join(f"{line.text}\n" for line in self._lines)

    def log_lines(self) -> list[LogLine]:
        """The same, line by line."""
        return list(self._lines)

    def ended(self, code: int) -> None:
        """Have the exit code known, once."""
        if not self.exited.done():
            self.exited.set_result(code)


class Request:
    """One HTTP request: method, path without its query, headers by lower-case name."""

    __slots__ = ("headers", "keep_alive", "method", "path", "version")

    def __init__(self, head: bytes) -> None:
        """Raises ValueError where this is no HTTP."""
        lines = head.decode("latin-1").split("\r\n")
        self.method, target, self.version = lines[0].split(" ")
        if not self.version.startswith("HTTP/1."):
            raise ValueError(self.version)
        if not target.startswith("/"):  # absolute form
            target = "/" + target.partition("://")[2].partition("/")[2]
        self.path = target.partition("?")[0]
        self.headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError(line)
            self.headers[name.lower()] = value.strip()
        connection = self.headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection and (self.version == "HTTP/1.1" or "keep-alive" in connection)

    @property
    def length(self) -> int:
        """The bytes of its body. Raises ValueError where that cannot be known."""
        if "transfer-encoding" in self.headers:
            raise ValueError("chunked")
        return max(0, int(self.headers.get("content-length", "0")))


class Response:
    """An HTTP answer with a body."""

    __slots__ = ("body", "content_type", "status")

    def __init__(self, status: int, body: bytes = b"", content_type: str = "text/plain; charset=utf-8") -> None:
        self.status = status
        self.body = body
        self.content_type = content_type

    @classmethod
    def json(cls, document: dict[str, str]) -> Response:
        """200 with a JSON object."""
        return cls(200, json.dumps(document, separators=(",", ":")).encode() + b"\n", "application/json")

    def encode(self, request: Request, *, close: bool) -> bytes:
        """The bytes to send in answer to a request."""
        connection = "Connection: close\r\n" if close else ""
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
            f"Content-Type: {self.content_type}\r\nDate: {_http_date(int(times.now().timestamp()))}\r\n"
            f"Content-Length: {len(self.body)}\r\n{connection}\r\n"
        ).encode("latin-1")
        return head if request.method == "HEAD" else head + self.body


@functools.lru_cache(maxsize=2)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


@functools.lru_cache(maxsize=2)
def _log_date(second: int) -> str:
    return time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(second))


class _Connection:
    """One client's connection to a server."""

    __slots__ = ("_buffer", "_busy", "_server", "_skip", "served", "wire")

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        self._buffer = b""
        self._busy = False  # an answer is on its way
        self._skip = 0  # bytes of a request's body still to come
        self.served = False
        self.wire = Wire(server.loop, sock, self._data, self._ended)
        self.wire.read()
        self.wire.read_now()

    def _data(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        """Answer the next request that is complete."""
        if self._skip:
            skipped = min(self._skip, len(self._buffer))
            self._skip -= skipped
            self._buffer = self._buffer[skipped:]
            if self._skip:
                return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEADER:
                self._close()
            return
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        try:
            request = Request(head)
            self._skip = request.length
        except ValueError:
            self.wire.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._close()
            return
        self._busy = True
        if self._server.delay and random.random() < self._server.delay_share:
            self._server.loop.call_later(self._server.delay, self._answer, request)
        else:
            self._answer(request)

    def _answer(self, request: Request) -> None:
        if self.wire.closed:
            return
        close = self._server.stopping or not request.keep_alive
        self.wire.write(self._server.handle(request).encode(request, close=close))
        self._busy, self.served = False, True
        if close:
            self._close()
        elif self._buffer or self._skip:
            self._next()

    def _ended(self, lost: bool) -> None:
        if lost or not self._busy:
            self._close()

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._busy

    @property
    def idle(self) -> bool:
        """Whether nobody waits for anything here: asked before, and nothing asked now."""
        return self.served and not self._busy and not self._buffer

    def _close(self) -> None:
        self.wire.close()
        self._server.gone(self)

    def close(self) -> None:
        """Close, whoever waits."""
        self.wire.close()


class Server:
    """An HTTP server on a bound socket; `handle` answers, a share (0..1) of the requests after `delay` seconds."""

    def __init__(
        self,
        sock: socket.socket,
        handle: Callable[[Request], Response],
        *,
        delay: float = 0.0,
        delay_share: float = 1.0,
    ) -> None:
        self.delay_share = delay_share
        self.loop = asyncio.get_running_loop()
        self.handle = handle
        self.delay = delay
        self.stopping = False
        self._connections: set[_Connection] = set()
        self._drained: asyncio.Event | None = None
        self._listener = Listener(sock, self._accepted)

    def _accepted(self, sock: socket.socket) -> None:
        connection = _Connection(self, sock)
        if not connection.wire.closed:
            self._connections.add(connection)

    def gone(self, connection: _Connection) -> None:
        """A connection is closed."""
        self._connections.discard(connection)
        if self._drained is not None and not self._connections:
            self._drained.set()

    async def drain(self, seconds: float) -> bool:
        """Take no new connections, answer what is asked on the open ones, close them; at most for a time.

        False where somebody still waited for an answer then.
        """
        self._listener.close()
        self.stopping = True
        for connection in list(self._connections):
            if connection.idle:
                connection.close()
                self.gone(connection)
        if self._connections:
            self._drained = asyncio.Event()
            patience = seconds if self.delay else min(seconds, _PATIENCE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with Patience(patience):
                    await self._drained.wait()
        over = not any(connection.busy for connection in self._connections)
        self.close()
        return over

    def close(self) -> None:
        """Close everything at once."""
        self._listener.close()
        for connection in list(self._connections):
            connection.close()
        self._connections.clear()


class App(Base):
    """A running container of hello or auth."""

    def __init__(
        self, image: Image, ip: str, ports: Ports, arguments: list[str], *, memory_limit: Decimal | None = None
    ) -> None:
        """`memory_limit` is in bytes. Raises StartError where the arguments are not the program's."""
        super().__init__()
        self._image = image
        self._ip = ip
        self._ports = ports
        self._servers: list[Server] = []
        self._bound: list[int] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._health = {"/healthz": 200, "/readiness": 200 if image.ready and not image.ready_after else 503}
        http_port, health_port = _flags(arguments)
        self._say("Starting server...")
        if not self._listen(health_port, "Health", self._handle_health, 0.0):
            return
        if not self._listen(http_port, "HTTP", self._handle_http, image.delay, image.delay_share):
            return
        loop = asyncio.get_running_loop()
        if image.ready and image.ready_after:
            self._timers.append(loop.call_later(image.ready_after, self._health.update, {"/readiness": 200}))
        if image.memory and memory_limit is not None and quantities.parse(image.memory) > memory_limit:
            self._timers.append(loop.call_later(image.memory_after, self._run_out_of_memory))
        if image.crash_after is not None:
            self._timers.append(loop.call_later(image.crash_after, self._crash))

    def _say(self, text: str) -> None:
        self.log(f"{_log_date(int(times.now().timestamp()))} {text}")

    def _listen(
        self, port: int, name: str, handle: Callable[[Request], Response], delay: float, delay_share: float = 1.0
    ) -> bool:
        self._say(f"{name} service listening on 0.0.0.0:{port}")
        try:
            sock = self._ports.bind(self._ip, port)
        except PortTakenError:
            self._say(f"listen tcp 0.0.0.0:{port}: bind: address already in use")
            self._end(self._image.exit_code)
            return False
        self._bound.append(port)
        self._servers.append(Server(sock, handle, delay=delay, delay_share=delay_share))
        return True

    def _run_out_of_memory(self) -> None:
        self.end_reason = "OOMKilled"
        self._end(137)

    def _crash(self) -> None:
        self._say(f"panic: version {self._image.version} of this image is made to fail")
        self._end(self._image.exit_code)

    def _handle_health(self, request: Request) -> Response:
        check, slash, rest = request.path[1:].partition("/")
        if f"/{check}" not in self._health or (slash and rest != "status"):
            return _NOT_FOUND
        if slash:  # a switch, to try out how a failing check is met
            self._health[f"/{check}"] = 503 if self._health[f"/{check}"] == 200 else 200
            return Response(200)
        return Response(self._health[f"/{check}"])

    def _handle_http(self, request: Request) -> Response:
        self._say(f'"{request.method} {request.path} {request.version}" {request.headers.get("user-agent", "")}')
        share = self._image.error_share
        if share and random.random() < share:
            return Response(500, b"Internal Server Error\n")
        if request.path == "/version":
            return Response.json({"version": self._image.version})
        if self._image.program == "auth":
            return self._login(request) if request.path == "/login" else _NOT_FOUND
        if request.path == "/secure" and not _authorized(request):
            return _REFUSED
        return Response.json({"message": "Hello"})

    def _login(self, request: Request) -> Response:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(text, validate=True)
        except binascii.Error:
            return _REFUSED
        if scheme.lower() != "basic" or not hmac.compare_digest(given, b"user:password"):
            return _REFUSED
        return Response.json({"token": make_token(int(times.now().timestamp()))})

    async def stop(self, grace_seconds: float) -> None:
        """SIGTERM: stop listening at once, answer what is under way, then end with exit code 0; or as its image does.

        What is not over after the grace period is killed.
        """
        if self.exited.done():
            return
        if self._image.stops == "ignores":
            await asyncio.wait([self.exited], timeout=grace_seconds)
            self._end(137)
            return
        if self._image.stops == "drops":
            self._end(143)
            return
        self._say("Captured terminated. Exiting...")
        self._health["/readiness"] = 503
        over = await asyncio.gather(*(server.drain(grace_seconds) for server in self._servers[1:]))
        self._end(0 if all(over) else 137)

    def _end(self, code: int) -> None:
        for timer in self._timers:
            timer.cancel()
        for server in self._servers:
            server.close()
        for port in self._bound:
            self._ports.release(self._ip, port)
        self._bound.clear()
        self.ended(code)


_NOT_FOUND = Response(404, b"404 page not found\n")
_REFUSED = Response(401, b"authorization failed\n")


def _flags(arguments: list[str]) -> tuple[int, int]:
    """The ports of `-http ADDRESS -health ADDRESS`, the programs' only flags."""
    ports = {"http": 80, "health": 81}
    words = list(arguments)
    while words:
        name, equals, value = words.pop(0).lstrip("-").partition("=")
        if not equals and words:
            value = words.pop(0)
        port = value.rpartition(":")[2]
        if name not in ports or not port.isdigit() or not 0 < int(port) < 65536:
            raise StartError("Error", f"flag provided but not defined or not an address: -{name}")
        ports[name] = int(port)
    return ports["http"], ports["health"]


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signature(text: str) -> str:
    return _encoded(hmac.new(_SIGNING_KEY, text.encode(), hashlib.sha256).digest())


def make_token(now: int) -> str:
    """A JSON web token (HS256) as the lab's auth gives out, valid from `now` (Unix seconds) on."""
    claims = {
        "email": "user@example.com",
        "exp": now + _TOKEN_SECONDS,
        "iat": now,
        "iss": "auth.service",
        "sub": "user",
    }
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    text = ".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return f"{text}.{_signature(text)}"


def token_is_valid(token: str, now: int) -> bool:
    """Whether a token is one of `make_token` that has not expired."""
    text, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(text).encode()):
        return False
    claims = text.partition(".")[2]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    except ValueError:
        return False
    return bool(decoded.get("exp", 0) > now)


def _authorized(request: Request) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and token_is_valid(token, int(times.now().timestamp()))
