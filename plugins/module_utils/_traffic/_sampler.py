# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

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
import itertools
import json
import math
import os
import random
import selectors
import socket
import ssl
import threading
import time
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.convoy.rollout.plugins.module_utils._cluster._access import Access, Credential
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._proxy import Proxy
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _answers

MOST = 1024 * 1024  #: bytes of an answer that are read
MOST_HEAD = 64 * 1024  #: bytes of its head, more of which is no HTTP
IP_BIND_ADDRESS_NO_PORT = 24  #: of Linux; Python's socket has it from 3.12 on
FRESH = 30.0  #: seconds after which a name is resolved again
RESOLVED = 30.0  #: seconds that resolving it may take
AGAIN = 1.0  #: seconds after which a resolver that was out of order is asked again
SHORT = 5.0  #: seconds for which this machine may be short of what a request takes
#: What this machine is short of when a request cannot even be made.
LOCAL = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN])
HERE = "this machine: "  #: begins an error that is no Sample's
LOOK = 0.02  #: seconds between two looks whether credentials are renewed
TURNS = 20  #: so many looks, at least, are needed to find a request late
VERSION = "0.2.0"  #: of this collection, as galaxy.yml has it
USER_AGENT = f"convoy.rollout/{VERSION}"

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
    proxy: Proxy | None = None  #: an HTTP proxy that the connection goes through
    access: Access | None = None  #: whose credentials are shown, where it is an API server that passes requests on
    mount: str = ""  #: the path by which an API server leads to what is behind it, where that is what is asked
    shown: tuple[tuple[str, str], ...] = ()  #: headers of these credentials; one name may come several times

    def request(self) -> bytes:
        """The request's bytes."""
        named = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.ssl_context else 80
        sent = {
            "Host": named if self.port == default else f"{named}:{self.port}",
            "User-Agent": USER_AGENT,
            "Accept": "application/json, text/html;q=0.9, */*;q=0.8",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        own = {name.lower() for name in self.headers}
        shown = {name.lower() for name, _value in self.shown}
        pairs = [(name, value) for name, value in sent.items() if name.lower() not in own]
        pairs += [(name, value) for name, value in self.headers.items() if name.lower() not in shown]
        lines = "".join(f"{name}: {value}\r\n" for name, value in (*pairs, *self.shown))
        return f"GET {self.path} HTTP/1.1\r\n{lines}\r\n".encode()

    def showing(self, credential: Credential) -> Target:
        """The same, asked with these credentials. Raises Failure."""
        if self.access is None:
            return self
        return replace(self, shown=self.access.headers(credential), ssl_context=self.access.ssl_context(credential))

    def tunnel(self) -> bytes:
        """What opens the way through the proxy."""
        place = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        headers = self.proxy.headers if self.proxy else ()
        lines = "".join(f"{name}: {value}\r\n" for name, value in (("Host", place), *headers))
        return f"CONNECT {place} HTTP/1.1\r\n{lines}\r\n".encode()

    def addresses(self) -> list[Address]:
        """Where the connection goes, in the order in which it is tried. Raises OSError."""
        host, port = (self.proxy.host, self.proxy.port) if self.proxy else (self.host, self.port)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(int(family), address) for family, _type, _protocol, _name, address in found]


class Sample(t.NamedTuple):
    """What became of one request: the version that answered, or the category of the error.

    Both, where an answer that is an error says which version it is from.
    """

    begun: float  #: when it was made, in seconds of time.monotonic
    seconds: float  #: from connecting to the end of the answer, as _Clock counts them
    version: str | None = None
    error: str | None = None
    source: str | None = None  #: the address that it was made from, where one was asked for
    unseen: float = 0.0  #: seconds beside `seconds` in which this process did not look: it may have taken them as well


Reader = t.Callable[[t.Mapping[str, str], bytes], "str | None"]
Take = t.Callable[[Sample], bool]


class Rate:
    """Not more than `limit` requests begin in any second; with 0, as many as can.

    The first ones of a second begin with random gaps, half as long on average as if they were spread out over it, so
    that where a proxy goes round its endpoints other clients do not always take the same places. `steady` spreads them
    out evenly instead.
    """

    def __init__(self, limit: float, *, steady: bool = False, chance: random.Random | None = None) -> None:
        self._count = 1 if steady else max(1, int(limit))
        self._span = self._count / limit if limit else 0.0
        self._begun: collections.deque[float] = collections.deque(maxlen=self._count)
        self._dense = 0.0 if steady else 2 * limit  #: requests a second while they begin
        self._chance = chance or random.Random()
        self._due = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until the next request may begin."""
        full = self._begun[0] + self._span - now if len(self._begun) == self._count else 0.0
        return max(full, self._due - now)

    def begin(self, now: float) -> None:
        """One begins."""
        self._begun.append(now)
        if self._dense:
            self._due = max(now, self._due) + self._chance.expovariate(self._dense)


def come_from(sock: socket.socket, source: str) -> None:
    """Have a socket connect from an address of this machine. Raises OSError."""
    with contextlib.suppress(OSError):  # else every port of the address would count as taken for a minute
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


class _Refused(Exception):
    """The HTTP proxy did not open the way."""


class _Http2(ValueError):
    """The server spoke HTTP/2, which nobody asked it to."""


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
    `timeout` are seconds for one request, of which those in which this machine had no time for this process do not
    count; after `most` requests, at the monotonic time `until`, or once a selector finds `stop` readable, no more are
    made. What fails is a Sample with an error. Of `sources`, addresses of this machine, each request is made from the
    next one, after the last one the first again.

    Through an API server, a request whose credentials that does not accept (401) is no Sample: it is made
    again with new ones, and no other begins meanwhile. Raises Failure where there are none that it accepts.

    What this machine cannot do is no Sample either: the name is resolved beside the requests, in a time of its own, and
    a request for which there are no files or ports left is made again when there are. Raises Failure where there are
    none for SHORT seconds, or the resolver does not answer in RESOLVED seconds.
    """
    loop = _Loop(target, read_version, take, timeout, sources)
    made = 0
    with loop.selector:
        if stop is not None:
            loop.selector.register(stop, selectors.EVENT_READ)
        while True:
            let_in = loop.let_in()
            now = time.monotonic()
            let_in = let_in and (loop.enough or loop.resolved(now))
            if made == most or now >= until:
                loop.enough = True
            pause = min(timeout, until - now)
            while let_in and not loop.enough and loop.active < concurrency and made != most:
                wait = rate.wait(now)
                if wait > 0:
                    pause = min(pause, wait)
                    break
                rate.begin(now)
                made += 1
                loop.begin(now)
                loop.hand_over()  # a name that is not known is an error at once
                now = time.monotonic()
                if loop.unmade:
                    made -= loop.unmade
                    loop.put_off(now)
                    pause = min(pause, LOOK)
                    break
            loop.enough = loop.enough or made == most
            if loop.enough and not loop.asked and not loop.refused:
                return
            if loop.asked:
                due = loop.asked[0].since + timeout - loop.clock.now()
                pause = due if loop.enough else min(pause, due)
            if not let_in:
                pause = min(pause, LOOK)
            loop.turn(max(0.0, pause), stop)


class _Clock:
    """Time as requests have it, of which no turn takes more than `turn` seconds.

    Where this process does not get to look for longer than that, as on a busy machine, an answer may have been there
    for as long: that is not the time that the server took.
    """

    def __init__(self, turn: float) -> None:
        self.turn = turn
        self._counted, self._looked = 0.0, time.monotonic()

    def now(self) -> float:
        """Seconds of this clock, which begins at 0."""
        return self._counted + min(self.turn, time.monotonic() - self._looked)

    def next_turn(self) -> None:
        """A turn has ended, and another one begins."""
        self._counted, self._looked = self.now(), time.monotonic()


class _Loop:
    """The requests that are on their way."""

    def __init__(
        self, target: Target, read_version: Reader, take: Take, timeout: float, sources: t.Sequence[str]
    ) -> None:
        self.selector = selectors.DefaultSelector()
        self.asked: collections.deque[_Request] = collections.deque()  #: in the order in which they were made
        self.active = 0  #: how many of them have no answer yet
        self.enough = False  #: whether no more are to be made
        self._target, self._request, self._timeout = target, b"", timeout
        self.clock = _Clock(timeout / TURNS)
        self._pass = _Pass(target.access) if target.access else None
        self._shown: Credential | None = None  #: the credentials that `_target` and `_request` are made with
        if self._pass is None:
            self._request = target.request()
        self.refused: list[_Request] = []  #: to be made again with other credentials
        self._read_version, self._take = read_version, take
        self._names = _Names(target)
        self.unmade = 0  #: requests that were not made because this machine is short of something
        self._short: tuple[float, str] | None = None  #: since when, and of what
        self._sources = itertools.cycle(sources or [None])

    def begin(self, now: float) -> None:
        """Make a request."""
        self._make(_Request(now, self.clock.now(), next(self._sources)))

    def _make(self, request: _Request) -> None:
        if self._pass is not None and self._pass.credential is not self._shown:
            self._shown = self._pass.credential
            self._target = self._target.showing(self._shown)
            self._request = self._target.request()
        request.credential = self._shown
        request.steps = request.made(self._target, self._request, self._read_version, self._names)
        self.asked.append(request)
        self.active += 1
        self._go_on(request)

    def resolved(self, now: float) -> bool:
        """Whether it is known where requests go. Raises Failure."""
        return self._names.ready(now)

    def put_off(self, now: float) -> None:
        """Let requests that could not be made wait. Raises Failure where there has been no use in that for long."""
        self.unmade = 0
        if self._short and now >= self._short[0] + SHORT and not self.active:
            raise Failure(
                f"This machine cannot make requests ({self._short[1]}), so nothing was learned about the application: "
                "raise the limit of open files (ulimit -n), free ports, or lower concurrency and rate_limit."
            )

    def let_in(self) -> bool:
        """Whether requests can be made now: not while credentials are renewed. Raises Failure where that failed."""
        if self._pass is None:
            return True
        if not self._pass.holds():
            return False
        again, self.refused = self.refused, []
        now = time.monotonic()
        for request in again:
            self._make(_Request(now, self.clock.now(), request.source, again=True))
        return True

    def turn(self, pause: float, stop: t.Any) -> None:
        """Go on with what can go on, `pause` seconds from now at most, and hand over what is complete."""
        ready = self.selector.select(min(pause, self.clock.turn / 2))
        self.clock.next_turn()
        for key, _events in ready:
            if key.data is not None:
                self._go_on(key.data)
            elif not self.enough:
                self.enough = True
                self.selector.unregister(stop)
        late = self.clock.now() - self._timeout
        for request in self.asked:
            if request.since > late:
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
        if error and error.startswith(HERE):
            self.asked.remove(request)
            self.unmade += 1
            self._short = self._short or (time.monotonic(), error[len(HERE) :])
        elif not error:
            self._short = None
        if error == NOT_LET_IN and self._pass is not None:
            self._pass.refused(request.credential, again=request.again)
            self.asked.remove(request)
            self.refused.append(request)
        seconds = self.clock.now() - request.since
        unseen = max(0.0, time.monotonic() - request.begun - seconds)
        request.sample = Sample(request.begun, seconds, version, error, request.source, unseen)
        request.steps.close()
        if request.awaited:
            self.selector.unregister(request.socket)
        if request.socket is not None:
            request.socket.close()
        self.active -= 1


class _Names:
    """Where requests go, resolved beside them."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._found: list[Address] = []
        self._why: OSError | None = None
        self._due = -math.inf  #: when it is resolved again
        self._since: float | None = None  #: since when that is tried
        self._thread: threading.Thread | None = None

    def addresses(self) -> list[Address]:
        """The addresses. Raises OSError where the name has none."""
        if not self._found:
            raise self._why or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        return self._found

    def ready(self, now: float) -> bool:
        """Whether it is known where to go, or that there is nowhere. Raises Failure where the resolver is silent."""
        if self._thread is None and now >= self._due:
            self._since = now if self._since is None else self._since
            self._thread = threading.Thread(target=self._resolve, daemon=True)
            self._thread.start()
        if self._thread is not None:
            if not self._found:
                self._thread.join(LOOK)
            if not self._thread.is_alive():
                self._thread = None
                self._due = now + (AGAIN if self._is_temporary else FRESH)
                self._since = self._since if self._is_temporary else None
        if self._found or (self._why is not None and not self._is_temporary):
            return True  # what is known holds while a resolver is slow
        if self._since is not None and now >= self._since + RESOLVED:
            host = self._target.proxy.host if self._target.proxy else self._target.host
            raise Failure(
                f"The resolver of this machine has not answered in {RESOLVED:g} s where {host} is, so nothing was "
                "learned about the application; check its resolv.conf, or set an address."
            )
        return False

    @property
    def _is_temporary(self) -> bool:
        return isinstance(self._why, socket.gaierror) and self._why.errno == socket.EAI_AGAIN

    def _resolve(self) -> None:
        try:
            self._found, self._why = self._target.addresses(), None
        except OSError as error:
            self._why = error


SWITCHING = 101  #: the server goes on in another protocol, so nothing follows in this one
EMPTY = frozenset([SWITCHING, 204, 304])  #: answers that have no body
FORGET = 0  #: instead of an event: the socket is about to be closed
NOT_LET_IN = "the API server does not accept the credentials"  #: an error that is no Sample's


class _Pass:
    """The credentials that an API server is shown, renewed beside the requests that are on their way."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.credential = access.credentials.latest
        self._renewal: threading.Thread | None = None
        self._needed = False  #: whether nothing may be asked before it is over
        self._failure: Failure | None = None

    def holds(self) -> bool:
        """Whether requests may be made with `credential`. Raises Failure where there is none to make them with."""
        if self._renewal is not None:
            if self._renewal.is_alive():
                return not (self._needed or self._access.credentials.expired)
            self._renewal, self._needed = None, False
            if self._failure:
                raise self._failure
            self.credential = self._access.credentials.latest
        elif self._access.credentials.due:
            self._renew(self._access.credentials.current)
            return not self._access.credentials.expired
        return True

    def refused(self, credential: Credential | None, *, again: bool) -> None:
        """The API server did not accept these; `again` where that were new ones already."""
        if self._needed or credential is not self.credential:
            return  # known, and mended, or about to be
        said = Failure(
            f"The API server {self._access.server} does not accept the credentials (401), so no more requests can be "
            "made through it; renew them in the kubeconfig."
        )

        def other() -> None:
            if again or credential is None or not self._access.credentials.renewed(credential):
                raise said

        self._needed = True
        self._renew(other)

    def _renew(self, how: t.Callable[[], t.Any]) -> None:
        before = self._renewal

        def renewing() -> None:
            if before is not None:
                before.join()
            try:
                how()
            except Failure as failure:
                self._failure = failure

        self._renewal = threading.Thread(target=renewing, daemon=True)
        self._renewal.start()


def _not_let_in(body: bytes) -> bool:
    """Whether an answer 401 is the API server's own, and not that of what it passes requests on to."""
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("kind") == "Status" and said.get("apiVersion", "v1") == "v1"


Steps = t.Generator[int, None, t.Any]


class _Request:
    """One request on its way. Its steps yield which event its socket has to wait for."""

    __slots__ = ("again", "awaited", "begun", "credential", "sample", "since", "socket", "source", "steps")

    def __init__(self, begun: float, since: float, source: str | None, *, again: bool = False) -> None:
        self.begun, self.since, self.source = begun, since, source  # by time.monotonic, and by the loop's own clock
        self.again = again  #: whether it was made before, with credentials that were not accepted
        self.credential: Credential | None = None
        self.steps: Steps
        self.socket: t.Any = None
        self.awaited = FORGET  #: the event that the selector was asked for
        self.sample: Sample | None = None

    def made(self, target: Target, request: bytes, read_version: Reader, names: _Names) -> Steps:
        """Ask and be answered: a version, an error, or both."""
        try:
            yield from self._connect(names.addresses())
        except ConnectionRefusedError:
            return None, "connection refused"
        except OSError as error:
            if error.errno in LOCAL and self.source is None and not isinstance(error, socket.gaierror):
                return None, f"{HERE}{error.strerror}"
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
        except _Http2:
            return None, "HTTP/2 only"
        except (ValueError, IndexError):
            return None, "not HTTP"
        except ssl.SSLError as error:
            asked = "CERTIFICATE_REQUIRED" in str(error.reason)  # with TLS 1.3 that comes after the handshake
            return None, "TLS failed (a client's certificate is asked for)" if asked else "connection lost"
        except (OSError, EOFError):
            return None, "connection lost"
        if status == 401 and target.access and _not_let_in(body):
            return None, NOT_LET_IN
        version = read_version(headers, _answers.decoded(headers, body, MOST))
        if not 200 <= status < 300:
            way = (target.mount, target.path) if target.access else ("", "")
            return version, _answers.refusal(status, headers, body if target.access else b"", *way)
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

    def _head(self, received: bytes = b"") -> Steps:
        """The bytes of a head, and those behind it that have come already; some may have been `received` before."""
        while (end := _answers.HEAD_END.search(received)) is None:
            part = yield from self._more()
            received += part
            if _answers.is_http2(received):
                raise _Http2
            if not received.startswith(b"HTTP/"[: len(received)]) or len(received) > MOST_HEAD:
                raise ValueError("not HTTP")
            if not part:
                raise EOFError
        return received[: end.start()], received[end.end() :]

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
        status, body = 100, b""
        while 100 <= status < 200 and status != SWITCHING:  # hints of what is to come are no answer
            head, body = yield from self._head(body)
            status, headers = _answers.parsed(head)
        codings = headers.get("transfer-encoding", "").lower()
        if status in EMPTY:
            body = b""  # whatever its headers say
        elif codings.rpartition(",")[2].strip() == "chunked":
            body = yield from self._chunks(body)
        elif "content-length" in headers and not codings:
            body = yield from self._exactly(body, min(_answers.length(headers["content-length"]), MOST))
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
                if len(rest) > MOST_HEAD:
                    raise ValueError("an endless chunk size")
                rest = yield from self._exactly(rest, len(rest) + 1)
            size = int(rest[:end].split(b";")[0], 16)
            if size < 0:
                raise ValueError("a negative size")
            if size == 0 or len(body) > MOST:
                return body
            rest = yield from self._exactly(rest[end + 2 :], min(size, MOST) + 2)
            body, rest = body + rest[: min(size, MOST)], rest[size + 2 :]
            if size > MOST:
                return body
