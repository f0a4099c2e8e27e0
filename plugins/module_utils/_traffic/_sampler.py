# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sampling: many single requests, each over a connection of its own.

Kubernetes balances connections, not requests, so a connection that is kept would count one pod many
times. Making them is what a sample costs, so they are made with sockets and a selector, one system
call after the other, rather than with a library's streams.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import functools
import itertools
import math
import os
import selectors
import socket
import ssl
import time
import typing as t
from dataclasses import dataclass, field

MOST = 1024 * 1024  #: bytes of an answer that are read
MOST_HEAD = 64 * 1024  #: bytes of its head, more of which is no HTTP
IP_BIND_ADDRESS_NO_PORT = 24  #: of Linux; Python's socket has it from 3.12 on
FRESH = 30.0  #: seconds after which a name is resolved again

Address = t.Tuple[int, t.Any]  #: family and address, as a socket takes it


@dataclass(frozen=True)
class Target:
    """What is asked: one GET request of one server."""

    host: str
    port: int
    path: str
    headers: t.Mapping[str, str] = field(default_factory=dict)
    ssl_context: ssl.SSLContext | None = None
    server_name: str | None = None
    proxy: tuple[str, int] | None = None  #: host and port of an HTTP proxy that the connection goes through

    def request(self) -> bytes:
        """The request's bytes."""
        named = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.ssl_context else 80
        sent = {
            "Host": named if self.port == default else f"{named}:{self.port}",
            "Accept": "*/*",
            "Connection": "close",
        }
        own = {name.lower() for name in self.headers}
        sent = {name: value for name, value in sent.items() if name.lower() not in own} | dict(self.headers)
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return f"GET {self.path} HTTP/1.1\r\n{lines}\r\n".encode()

    def tunnel(self) -> bytes:
        """What opens the way through the proxy."""
        place = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode()

    def addresses(self) -> list[Address]:
        """Where the connection goes, in the order in which it is tried. Raises OSError."""
        host, port = self.proxy or (self.host, self.port)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(int(family), address) for family, _type, _protocol, _name, address in found]


class Sample(t.NamedTuple):
    """What became of one request: the version that answered, or the category of the error.

    Both, where an answer that is an error says which version it is from.
    """

    begun: float  #: when it was made, in seconds of time.monotonic
    seconds: float  #: from connecting to the end of the answer
    version: str | None = None
    error: str | None = None
    source: str | None = None  #: the address that it was made from, where one was asked for


Reader = t.Callable[[t.Mapping[str, str], bytes], "str | None"]
Take = t.Callable[[Sample], bool]


class Rate:
    """Not more than `limit` requests begin in any second; with 0, as many as can.

    The first ones of a second may begin at once. `steady` spreads them out evenly instead.
    """

    def __init__(self, limit: float, *, steady: bool = False) -> None:
        self._count = 1 if steady else max(1, int(limit))
        self._span = self._count / limit if limit else 0.0
        self._begun: collections.deque[float] = collections.deque(maxlen=self._count)

    def wait(self, now: float) -> float:
        """Seconds until the next request may begin."""
        return self._begun[0] + self._span - now if len(self._begun) == self._count else 0.0

    def begin(self, now: float) -> None:
        """One begins."""
        self._begun.append(now)


def come_from(sock: socket.socket, source: str) -> None:
    """Have a socket connect from an address of this machine. Raises OSError."""
    with contextlib.suppress(OSError):  # else every port of the address would count as taken for a minute
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


class _Refused(Exception):
    """The HTTP proxy did not open the way."""


def sample(
    target: Target,
    read_version: Reader,
    take: Take,
    *,
    concurrency: int,
    timeout: float,
    rate: Rate,
    most: int | None = None,
    until: float = math.inf,
    stop: t.Any = None,
    sources: t.Sequence[str] = (),
) -> None:
    """Make requests, up to `concurrency` at once, and hand each Sample to `take`, until that returns False.

    They are handed over in the order in which they were made, so that a slow version is not counted
    late. The ones that are on their way when enough is known are waited for and handed over too.
    `timeout` are seconds for one request; after `most` requests, at the monotonic time `until`, or once
    a selector finds `stop` readable, no more are made. Nothing is raised: what fails is a Sample with
    an error. Of `sources`, addresses of this machine, each request is made from the next one, after the
    last one the first again.
    """
    loop = _Loop(target, read_version, take, timeout, sources)
    made = 0
    with loop.selector:
        if stop is not None:
            loop.selector.register(stop, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            if made == most or now >= until:
                loop.enough = True
            pause = min(timeout, until - now)
            while not loop.enough and loop.active < concurrency and made != most:
                wait = rate.wait(now)
                if wait > 0:
                    pause = min(pause, wait)
                    break
                rate.begin(now)
                made += 1
                loop.begin(now)
                loop.hand_over()  # a name that is not known is an error at once
                now = time.monotonic()
            if loop.enough and not loop.asked:
                return
            if loop.asked:
                due = loop.asked[0].begun + timeout - now
                pause = due if loop.enough else min(pause, due)
            loop.turn(max(0.0, pause), stop)


class _Loop:
    """The requests that are on their way."""

    def __init__(
        self, target: Target, read_version: Reader, take: Take, timeout: float, sources: t.Sequence[str]
    ) -> None:
        self.selector = selectors.DefaultSelector()
        self.asked: collections.deque[_Request] = collections.deque()  #: in the order in which they were made
        self.active = 0  #: how many of them have no answer yet
        self.enough = False  #: whether no more are to be made
        self._target, self._request, self._timeout = target, target.request(), timeout
        self._read_version, self._take = read_version, take
        self._addresses: list[Address] = []
        self._resolved = 0.0
        self._sources = itertools.cycle(sources or [None])

    def begin(self, now: float) -> None:
        """Make a request."""
        if now >= self._resolved + FRESH:
            self._addresses, self._resolved = [], now
        request = _Request(now, next(self._sources))
        request.steps = request.made(self._target, self._request, self._read_version, self._addresses)
        self.asked.append(request)
        self.active += 1
        self._go_on(request)

    def turn(self, pause: float, stop: t.Any) -> None:
        """Go on with what can go on, `pause` seconds from now at most, and hand over what is complete."""
        for key, _events in self.selector.select(pause):
            if key.data is not None:
                self._go_on(key.data)
            elif not self.enough:
                self.enough = True
                self.selector.unregister(stop)
        late = time.monotonic() - self._timeout
        for request in self.asked:
            if request.begun > late:
                break
            if request.sample is None:
                self._over(request, None, "timeout")
        self.hand_over()

    def hand_over(self) -> None:
        """Hand over what is complete, in the order in which it was begun."""
        while self.asked and self.asked[0].sample is not None:
            if not self._take(self.asked.popleft().sample):  # type: ignore[arg-type]
                self.enough = True

    def _go_on(self, request: _Request) -> None:
        try:
            while (events := next(request.steps)) == FORGET:
                if request.awaited:
                    self.selector.unregister(request.socket)
                request.awaited = FORGET
        except StopIteration as done:
            self._over(request, *done.value)
            return
        if events == request.awaited:
            return
        if request.awaited:
            self.selector.modify(request.socket, events, request)
        else:
            self.selector.register(request.socket, events, request)
        request.awaited = events

    def _over(self, request: _Request, version: str | None, error: str | None) -> None:
        request.sample = Sample(request.begun, time.monotonic() - request.begun, version, error, request.source)
        request.steps.close()
        if request.awaited:
            self.selector.unregister(request.socket)
        if request.socket is not None:
            request.socket.close()
        self.active -= 1


@functools.lru_cache(maxsize=16)  # most answers of a second have the same
def parsed(head: bytes) -> tuple[int, t.Mapping[str, str]]:
    """The status and the headers (names in lower case) of a head. Raises ValueError or IndexError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.strip().lower(): value.strip() for name, _colon, value in fields if name}


FORGET = 0  #: instead of an event: the socket is about to be closed

Steps = t.Generator[int, None, t.Any]


class _Request:
    """One request on its way. Its steps yield which event its socket has to wait for."""

    __slots__ = ("awaited", "begun", "sample", "socket", "source", "steps")

    def __init__(self, begun: float, source: str | None) -> None:
        self.begun, self.source = begun, source
        self.steps: Steps
        self.socket: t.Any = None
        self.awaited = FORGET  #: the event that the selector was asked for
        self.sample: Sample | None = None

    def made(self, target: Target, request: bytes, read_version: Reader, addresses: list[Address]) -> Steps:
        """Ask and be answered: a version, an error, or both. `addresses` are found once and kept there."""
        try:
            if not addresses:
                addresses.extend(target.addresses())
            yield from self._connect(addresses)
        except ConnectionRefusedError:
            return None, "connection refused"
        except OSError as error:
            return None, f"no connection ({error.strerror or type(error).__name__})"
        try:
            if target.proxy:
                yield from self._send(target.tunnel())
                yield from self._proxied()
            if target.ssl_context:
                yield from self._begin_tls(target.ssl_context, target.server_name or target.host)
        except _Refused:
            return None, "refused by the proxy"
        except ssl.SSLCertVerificationError as error:
            return None, f"certificate not trusted ({error.verify_message})"
        except ssl.SSLError:
            return None, "TLS failed"
        except OSError:
            return None, "connection lost"
        try:
            yield from self._send(request)
            status, headers, body = yield from self._answer()
        except (ValueError, IndexError):
            return None, "not HTTP"
        except (OSError, EOFError):
            return None, "connection lost"
        version = read_version(headers, body)
        if not 200 <= status < 300:
            return version, f"HTTP {status}"
        return (version, None) if version else (None, "no version in the answer")

    def _connect(self, addresses: t.Sequence[Address]) -> Steps:
        why: OSError | None = None
        for family, address in addresses:
            try:
                self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                if self.source:
                    come_from(self.socket, self.source)
                code = self.socket.connect_ex(address)
                if code == errno.EINPROGRESS:
                    try:
                        self.socket.getpeername()  # over loopback the connection is there at once
                        return
                    except OSError:
                        yield selectors.EVENT_WRITE
                    code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    return
                why = OSError(code, os.strerror(code))  # of the kind that the code stands for
            except OSError as error:
                why = error
            if self.socket is not None:
                yield FORGET
                self.socket.close()
        raise why or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    def _send(self, data: bytes) -> Steps:
        while data:
            try:
                data = data[self.socket.send(data) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield selectors.EVENT_WRITE
            except ssl.SSLWantReadError:
                yield selectors.EVENT_READ

    def _more(self) -> Steps:
        """The next bytes; none at the end."""
        if not isinstance(self.socket, ssl.SSLSocket):
            yield selectors.EVENT_READ  # an answer takes a moment; TLS may have read it already
        while True:
            try:
                return self.socket.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield selectors.EVENT_READ
            except ssl.SSLWantWriteError:
                yield selectors.EVENT_WRITE

    def _head(self) -> Steps:
        """The bytes of a head, and those behind it that have come already."""
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            part = yield from self._more()
            received += part
            if not received.startswith(b"HTTP/"[: len(received)]) or len(received) > MOST_HEAD:
                raise ValueError("not HTTP")
            if not part:
                raise EOFError
        return received[:end], received[end + 4 :]

    def _proxied(self) -> Steps:
        try:
            head, _rest = yield from self._head()
        except (EOFError, ValueError) as error:
            raise _Refused from error
        if head.split(b" ", 2)[1:2] != [b"200"]:
            raise _Refused

    def _begin_tls(self, context: ssl.SSLContext, name: str) -> Steps:
        self.socket = context.wrap_socket(self.socket, server_hostname=name, do_handshake_on_connect=False)
        while True:
            try:
                self.socket.do_handshake()
                return
            except ssl.SSLWantReadError:
                yield selectors.EVENT_READ
            except ssl.SSLWantWriteError:
                yield selectors.EVENT_WRITE

    def _answer(self) -> Steps:
        """Status, headers (names in lower case) and body."""
        status = 100
        while status < 200:  # hints of what is to come are no answer
            head, body = yield from self._head()
            status, headers = parsed(head)
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = yield from self._chunks(body)
        elif "content-length" in headers:
            size = int(headers["content-length"])
            if size < 0:
                raise ValueError("a length below 0")
            body = yield from self._exactly(body, min(size, MOST))
        else:
            while len(body) < MOST and (part := (yield from self._more())):
                body += part
        return status, headers, body

    def _exactly(self, body: bytes, size: int) -> Steps:
        """At least so many bytes."""
        while len(body) < size:
            part = yield from self._more()
            if not part:
                raise EOFError
            body += part
        return body

    def _chunks(self, rest: bytes) -> Steps:
        body = b""
        while True:
            while (end := rest.find(b"\r\n")) < 0:
                rest = yield from self._exactly(rest, len(rest) + 1)
            size = int(rest[:end].split(b";")[0], 16)
            if size == 0 or len(body) > MOST:
                return body
            rest = yield from self._exactly(rest[end + 2 :], min(size, MOST) + 2)
            body, rest = body + rest[: min(size, MOST)], rest[size + 2 :]
            if size > MOST:
                return body
