# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small stand-in for nginx on the sandbox's event loop, for machines that have none.

It does what the configurations of a rollout's frontends need: virtual servers with TLS, locations,
proxying with a new connection to the upstream for each request (nginx's default), `return`, static
files. A directive that would change an answer and that it does not know keeps it from starting.
"""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import posixpath
import re
import socket
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from .nginx_conf import Directive
from .nginx_site import find, listen_port, proxy_parts, split_host
from .programs import Base
from .sockets import connected_from

if TYPE_CHECKING:
    from .nginx_site import Site

_MAX_HEAD = 32768
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "upgrade", "expect"}

#: Directives whose meaning is here, by the block they stand in.
_KNOWN = {
    "main": {"http", "events"},
    "http": {"server", "upstream", "types", "default_type"},
    "server": {"listen", "server_name", "ssl_certificate", "ssl_certificate_key", "ssl", "location"},
    "location": set(),
    "upstream": {"server"},
}
_ANYWHERE = {
    "proxy_set_header", "add_header", "client_max_body_size", "proxy_connect_timeout",
    "proxy_read_timeout", "keepalive_timeout", "root", "index", "proxy_http_version", "default_type",
}  # fmt: skip
_HANDLERS = {"return", "proxy_pass"}
#: Directives that change how nginx works inside, or its logs, but no answer.
_WITHOUT_EFFECT = {
    "user", "pid", "daemon", "master_process", "worker_processes", "worker_rlimit_nofile", "load_module",
    "error_log", "access_log", "log_format", "log_not_found", "sendfile", "tcp_nopush", "tcp_nodelay",
    "gzip", "gzip_types", "gzip_vary", "gzip_min_length", "gzip_proxied", "gzip_comp_level",
    "gzip_disable", "server_tokens", "types_hash_max_size", "server_names_hash_bucket_size",
    "server_names_hash_max_size", "ssl_protocols", "ssl_ciphers", "ssl_prefer_server_ciphers",
    "ssl_session_cache", "ssl_session_timeout", "ssl_session_tickets", "ssl_dhparam", "ssl_ecdh_curve",
    "ssl_buffer_size", "proxy_buffering", "proxy_buffers", "proxy_buffer_size", "proxy_busy_buffers_size",
    "proxy_redirect", "proxy_send_timeout", "proxy_request_buffering", "send_timeout",
    "client_body_timeout", "client_header_timeout", "client_body_buffer_size",
    "client_header_buffer_size", "large_client_header_buffers", "keepalive", "keepalive_requests", "zone",
    "resolver", "resolver_timeout", "reset_timedout_connection", "proxy_ssl_verify",
    "proxy_ssl_server_name", "charset", "http2", "absolute_redirect",
}  # fmt: skip
_VARIABLES = {
    "host", "http_host", "remote_addr", "scheme", "request_uri", "uri", "document_uri", "args",
    "query_string", "is_args", "proxy_host", "server_port", "server_name", "server_addr",
    "proxy_add_x_forwarded_for", "request_method", "server_protocol", "hostname", "request",
}  # fmt: skip
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "": 1}


@dataclass
class _Location:
    kind: str  # "=", "^~", "~", "~*" or "" as written
    pattern: str
    block: list[Directive]
    scopes: list[list[Directive]]  # from the outermost in
    upstream: list[tuple[str, int]] = field(default_factory=list)
    scheme: str = "http"
    proxy_host: str = ""
    uri: str = ""  # of proxy_pass
    turn: int = 0

    def last(self, name: str) -> Directive | None:
        """The directive that counts: of the innermost block that has it."""
        for scope in reversed(self.scopes):
            found = find(scope, name)
            if found:
                return found[-1]
        return None

    def all(self, name: str) -> list[Directive]:
        """The directives that count, of the innermost block that has any."""
        for scope in reversed(self.scopes):
            found = find(scope, name)
            if found:
                return found
        return []


@dataclass
class _VirtualServer:
    names: list[str]
    locations: list[_Location]
    default: bool = False
    context: ssl.SSLContext | None = None


@dataclass
class _Request:
    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes
    remote: str
    scheme: str
    port: int

    def header(self, name: str) -> str:
        """A header's value, "" if it was not sent."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def path(self) -> str:
        """The decoded and normalized path."""
        from urllib.parse import unquote

        path = unquote(self.target.partition("?")[0])
        normal = posixpath.normpath(path)
        return f"{normal}/" if path.endswith("/") and normal != "/" else normal.replace("//", "/")

    @property
    def keep_alive(self) -> bool:
        connection = self.header("connection").lower()
        return "close" not in connection and (self.version == "HTTP/1.1" or "keep-alive" in connection)


class _RefusedError(Exception):
    """A request that is answered with an error page."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _seconds(directive: Directive | None, default: float) -> float:
    match = re.fullmatch(r"([0-9.]+)(ms|s|m|h)?", directive.args[0]) if directive and directive.args else None
    return float(match[1]) * _UNITS[match[2] or ""] if match else default


def _bytes(directive: Directive | None, default: int) -> int:
    match = re.fullmatch(r"(\d+)([kmg]?)", directive.args[0].lower()) if directive and directive.args else None
    return int(match[1]) * {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}[match[2]] if match else default


class Standin(Base):
    """One running container."""

    def __init__(self, site: Site, files: dict[str, bytes]) -> None:
        super().__init__()
        self._site = site
        self._files = files
        self._types: dict[str, str] = {}
        self._servers: list[asyncio.Server] = []
        self._idle: dict[asyncio.Task[None], bool] = {}  # a task a connection: whether it waits for a request
        self._stopping = False

    # -- starting --------------------------------------------------------------------------------

    @classmethod
    async def start(cls, conf: list[Directive], files: dict[str, bytes], site: Site) -> Standin:
        """Listen as the configuration says. Raises ConfError, PortTakenError."""
        self = cls(site, files)
        ports: dict[int, list[_VirtualServer]] = {}
        _check(conf, "main")
        for http in find(conf, "http"):
            self._read_http(http, ports)
        try:
            for port, servers in ports.items():
                await self._listen(port, servers)
        except BaseException:
            await self._close()
            raise
        self.log(f"{time.strftime('%Y/%m/%d %H:%M:%S')} [notice] 1#1: start worker processes")
        return self

    def _read_http(self, http: Directive, ports: dict[int, list[_VirtualServer]]) -> None:
        block = http.block or []
        _check(block, "http")
        for types in find(block, "types"):
            for entry in types.block or ():
                self._types.update(dict.fromkeys(entry.args, entry.name))
        upstreams: dict[str, list[tuple[str, int]]] = {}
        for upstream in find(block, "upstream"):
            _check(upstream.block or [], "upstream")
            members = find(upstream.block, "server")
            upstreams[upstream.args[0]] = [self._address(member, *split_host(member.args[0], 80)) for member in members]
        for server in find(block, "server"):
            self._read_server(server, block, upstreams, ports)

    def _read_server(
        self,
        server: Directive,
        http: list[Directive],
        upstreams: dict[str, list[tuple[str, int]]],
        ports: dict[int, list[_VirtualServer]],
    ) -> None:
        block = server.block or []
        _check(block, "server")
        names = [name for directive in find(block, "server_name") for name in directive.args]
        locations = [self._read_location(entry, [http, block], upstreams) for entry in find(block, "location")]
        if any(directive.name in _HANDLERS for directive in block) or not locations:
            locations = [self._location("", "/", block, [http, block], upstreams)]
        default = Directive("listen", ["80"], server.file, server.line)
        for listen in find(block, "listen") or [default]:
            port = listen_port(listen)
            if port is None:
                continue
            options = listen.args[1:]
            virtual = _VirtualServer(names, locations, default="default_server" in options)
            if "ssl" in options or any(directive.args == ["on"] for directive in find(block, "ssl")):
                virtual.context = self._tls(server, [http, block])
            ports.setdefault(port, []).append(virtual)

    def _read_location(
        self, entry: Directive, scopes: list[list[Directive]], upstreams: dict[str, list[tuple[str, int]]]
    ) -> _Location:
        kind, pattern = entry.args if len(entry.args) == 2 else ("", entry.args[0] if entry.args else "/")
        if kind not in ("", "=", "~", "~*", "^~"):
            raise entry.error(f'invalid location modifier "{kind}"')
        block = entry.block or []
        _check(block, "location")
        return self._location(kind, pattern, block, [*scopes, block], upstreams)

    def _location(
        self,
        kind: str,
        pattern: str,
        block: list[Directive],
        scopes: list[list[Directive]],
        upstreams: dict[str, list[tuple[str, int]]],
    ) -> _Location:
        location = _Location(kind, pattern, block, scopes)
        for directive in find(block, "proxy_pass"):
            scheme, host, port, location.uri = proxy_parts(directive)
            location.scheme = scheme
            location.proxy_host = host if port == {"http": 80, "https": 443}[scheme] else f"{host}:{port}"
            location.upstream = upstreams.get(host) or [self._address(directive, host, port)]
        texts = [directive for name in ("proxy_set_header", "add_header") for directive in location.all(name)]
        for directive in [*texts, *find(block, "return")]:
            for name in re.findall(r"\$\{?(\w+)", " ".join(directive.args)):
                if name not in _VARIABLES and not name.startswith("http_"):
                    raise directive.error(f'unknown "{name}" variable')
        return location

    def _address(self, directive: Directive, host: str, port: int) -> tuple[str, int]:
        ip = self._site.address(host)
        if ip is None:
            raise directive.error(f'host not found in upstream "{host}"')
        return ip, port

    def _tls(self, server: Directive, scopes: list[list[Directive]]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as directory:
            paths = []
            for name in ("ssl_certificate", "ssl_certificate_key"):
                found = [directive for scope in scopes for directive in find(scope, name)]
                if not found:
                    raise server.error(f'no "{name}" is defined for the "listen ... ssl" directive')
                source = posixpath.join("/etc/nginx", found[-1].args[0])
                if source not in self._files:
                    raise found[-1].error(
                        f'cannot load certificate "{source}": BIO_new_file() failed (No such file or directory)'
                    )
                path = Path(directory, name)
                path.touch(mode=0o600)
                path.write_bytes(self._files[source])
                paths.append(path)
            try:
                context.load_cert_chain(paths[0], paths[1])
            except (ssl.SSLError, OSError) as problem:
                raise server.error(f"cannot load the certificate and its key: {problem}") from None
        return context

    async def _listen(self, port: int, servers: list[_VirtualServer]) -> None:
        contexts = [server.context for server in servers if server.context]
        context = contexts[0] if contexts else None
        if context is not None and len(contexts) > 1:

            def choose(sock: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
                found = _by_name(servers, name or "").context
                if found is not None:
                    sock.context = found

            context.sni_callback = choose
        sock: socket.socket = self._site.ports.bind(self._site.ip, port)
        self._site.bound[port] = self._site.ports.real(self._site.ip, port)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # As nginx does; else an answer in two writes waits 40 ms for the client's delayed acknowledgement.
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._serve(reader, writer, port, servers)

        self._servers.append(
            await asyncio.start_server(connected, sock=sock, ssl=context, backlog=1024, limit=_MAX_HEAD)
        )

    # -- serving ---------------------------------------------------------------------------------

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        port: int,
        servers: list[_VirtualServer],
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - start_server makes one
        try:
            again = True
            while again:
                self._idle[task] = True
                again = await self._serve_one(task, reader, writer, port, servers)
        except (
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            TimeoutError,
            asyncio.CancelledError,
        ):
            pass  # the client has gone, says nothing, or this nginx stops
        finally:
            self._idle.pop(task, None)
            writer.close()

    async def _serve_one(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        port: int,
        servers: list[_VirtualServer],
    ) -> bool:
        async with asyncio.timeout(65):
            head = await reader.readuntil(b"\r\n\r\n")
        self._idle[task] = False
        encrypted = writer.get_extra_info("ssl_object") is not None
        try:
            request = _parse(head, writer.get_extra_info("peername")[0], "https" if encrypted else "http", port)
        except ValueError:
            writer.write(_page(400, close=True))
            return False
        server = _by_name(servers, request.header("host").partition(":")[0])
        location = _find_location(server.locations, request.path)
        close = self._stopping or not request.keep_alive
        status = 404
        try:
            if encrypted != (server.context is not None):
                raise _RefusedError(400)
            if location is None:
                raise _RefusedError(404)
            await _read_body(request, reader, _bytes(location.last("client_max_body_size"), 2**20))
            status, closed = await self._answer(request, location, writer, close=close)
            close = close or closed
        except _RefusedError as problem:
            status = problem.status
            close = close or status in (400, 413)
            writer.write(_page(status, close=close))
        self.log(
            f"{request.remote} - - [{time.strftime('%d/%b/%Y:%H:%M:%S +0000', time.gmtime())}] "
            f'"{request.method} {request.target} {request.version}" {status}'
        )
        await writer.drain()
        return not close

    async def _answer(
        self, request: _Request, location: _Location, writer: asyncio.StreamWriter, *, close: bool
    ) -> tuple[int, bool]:
        """The status, and whether the connection has to be closed to end the answer."""
        returns = find(location.block, "return")
        if returns:
            return self._return(request, location, returns[0], writer, close=close), False
        if location.upstream:
            return await self._proxy(request, location, writer, close=close)
        return self._static(request, location, writer, close=close), False

    def _return(
        self,
        request: _Request,
        location: _Location,
        directive: Directive,
        writer: asyncio.StreamWriter,
        *,
        close: bool,
    ) -> int:
        code, *texts = directive.args
        if not code.isdigit():
            code, texts = "302", [code]
        status = int(code)
        text = self._expand(texts[0], request, location) if texts else ""
        headers = self._added(request, location)
        if status in (301, 302, 303, 307, 308):
            writer.write(_page(status, close=close, headers=[("Location", text), *headers]))
        elif texts:
            default = location.last("default_type")
            headers.append(("Content-Type", default.args[0] if default else "text/plain"))
            writer.write(_message(status, headers, text.encode(), close=close, head=request.method == "HEAD"))
        else:
            writer.write(_page(status, close=close, headers=headers))
        return status

    def _static(self, request: _Request, location: _Location, writer: asyncio.StreamWriter, *, close: bool) -> int:
        if request.method not in ("GET", "HEAD"):
            raise _RefusedError(405)
        root = location.last("root")
        index = location.last("index")
        base = posixpath.join("/etc/nginx", root.args[0]) if root else "/etc/nginx/html"
        path = posixpath.normpath(base + request.path)
        names = [path]
        if request.path.endswith("/"):
            names = [posixpath.join(path, name) for name in (index.args if index else ["index.html"])]
        found = next((name for name in names if name in self._files), None)
        if found is None:
            raise _RefusedError(404)
        default = location.last("default_type")
        kind = self._types.get(found.rpartition(".")[2]) or mimetypes.guess_type(found)[0]
        headers = [("Content-Type", kind or (default.args[0] if default else "text/plain"))]
        headers += self._added(request, location)
        writer.write(_message(200, headers, self._files[found], close=close, head=request.method == "HEAD"))
        return 200

    async def _proxy(
        self, request: _Request, location: _Location, writer: asyncio.StreamWriter, *, close: bool
    ) -> tuple[int, bool]:
        connect_seconds = _seconds(location.last("proxy_connect_timeout"), 60)
        read_seconds = _seconds(location.last("proxy_read_timeout"), 60)
        status = 502
        for _ in location.upstream:  # round robin; the next one where one cannot be reached
            ip, port = location.upstream[location.turn % len(location.upstream)]
            location.turn += 1
            try:
                async with asyncio.timeout(connect_seconds):
                    sock = await connected_from(self._site.ip, (ip, self._site.ports.real(ip, port)))
                    secure = location.scheme == "https"
                    reader, upstream = await asyncio.open_connection(
                        sock=sock, limit=_MAX_HEAD,
                        ssl=_unverified() if secure else None, server_hostname=ip if secure else None,
                    )  # fmt: skip
            except TimeoutError:
                status = 504
                continue
            except OSError as problem:
                self.log(f"[error] connect() failed ({problem.strerror}) while connecting to upstream {ip}:{port}")
                continue
            try:
                upstream.write(self._upstream_request(request, location))
                async with asyncio.timeout(read_seconds):
                    head = await reader.readuntil(b"\r\n\r\n")
                return await self._relay(request, location, head, reader, writer, close=close, seconds=read_seconds)
            except TimeoutError:
                raise _RefusedError(504) from None
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, ConnectionError):
                self.log(f"[error] upstream {ip}:{port} prematurely closed connection or sent an invalid header")
                raise _RefusedError(502) from None
            finally:
                upstream.close()
        raise _RefusedError(status)

    def _upstream_request(self, request: _Request, location: _Location) -> bytes:
        target = request.target
        if location.uri and location.kind in ("", "^~", "="):
            target = location.uri + request.target[len(location.pattern) :]
        directive = location.last("proxy_http_version")
        version = directive.args[0] if directive else "1.0"
        set_headers = {"host": ("Host", "$proxy_host"), "connection": ("Connection", "close")}
        for entry in location.all("proxy_set_header"):
            set_headers[entry.args[0].lower()] = (entry.args[0], entry.args[1])
        lines = [f"{request.method} {target} HTTP/{version}"]
        for name, text in set_headers.values():
            value = self._expand(text, request, location)
            if name.lower() == "connection":
                value = "close"  # upgrades are not carried, and nothing is kept alive
            if value:
                lines.append(f"{name}: {value}")
        if request.body:
            lines.append(f"Content-Length: {len(request.body)}")
        for name, value in request.headers:
            if name.lower() not in _HOP_BY_HOP | {"content-length"} and name.lower() not in set_headers:
                lines.append(f"{name}: {value}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body

    async def _relay(
        self,
        request: _Request,
        location: _Location,
        head: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        close: bool,
        seconds: float,
    ) -> tuple[int, bool]:
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        status = int(first.split(" ")[1])
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        if request.method == "HEAD" or status in (204, 304):
            length = 0
        # Without a length, or in chunks, what is left of the answer is passed on until its end.
        close = close or length is None
        out = [f"HTTP/1.1 {first.partition(' ')[2]}", "Server: nginx", f"Date: {formatdate(usegmt=True)}"]
        dropped = (_HOP_BY_HOP - {"transfer-encoding"}) | {"server", "date"}
        out += [f"{name}: {value}" for name, value in headers if name.lower() not in dropped]
        out += [f"{name}: {value}" for name, value in self._added(request, location)]
        out.append(f"Connection: {'close' if close else 'keep-alive'}")
        writer.write("\r\n".join([*out, "", ""]).encode("latin-1"))
        left = length
        try:
            while left is None or left > 0:
                async with asyncio.timeout(seconds):
                    data = await reader.read(65536 if left is None else min(left, 65536))
                if not data:
                    break
                writer.write(data)
                await writer.drain()
                left = None if left is None else left - len(data)
        except (OSError, TimeoutError):
            left = 1
        return status, close or bool(left)

    def _added(self, request: _Request, location: _Location) -> list[tuple[str, str]]:
        return [(entry.args[0], self._expand(entry.args[1], request, location)) for entry in location.all("add_header")]

    def _expand(self, text: str, request: _Request, location: _Location) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("http_"):
                return request.header(name[5:].replace("_", "-"))
            forwarded = request.header("x-forwarded-for")
            _path, _, query = request.target.partition("?")
            names = [arg for scope in location.scopes for item in find(scope, "server_name") for arg in item.args]
            host = request.header("host").partition(":")[0] or (names[0] if names else "")
            return {
                "host": host,
                "remote_addr": request.remote,
                "scheme": request.scheme,
                "request_uri": request.target,
                "uri": request.path,
                "document_uri": request.path,
                "args": query,
                "query_string": query,
                "is_args": "?" if query else "",
                "proxy_host": location.proxy_host,
                "server_port": str(request.port),
                "server_name": names[0] if names else "",
                "server_addr": self._site.ip,
                "proxy_add_x_forwarded_for": f"{forwarded}, {request.remote}" if forwarded else request.remote,
                "request_method": request.method,
                "server_protocol": request.version,
                "hostname": socket.gethostname(),
                "request": f"{request.method} {request.target} {request.version}",
            }[name]

        return re.sub(r"\$\{?(\w+)\}?", value, text)

    # -- stopping --------------------------------------------------------------------------------

    async def stop(self, grace_seconds: float) -> None:
        """Take no new connections, answer what is asked, then end."""
        if self.exited.done():
            return
        self._stopping = True
        await asyncio.sleep(0)  # connections that the kernel has made are still accepted
        for server in self._servers:
            server.close()
        await asyncio.sleep(0)
        for task, waits in list(self._idle.items()):
            if waits:
                task.cancel()
        if self._idle:
            await asyncio.wait(list(self._idle), timeout=max(grace_seconds, 0.001))
        await self._close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        tasks = list(self._idle)
        for task in tasks:
            task.cancel()
        if tasks:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait(tasks, timeout=1)
        self._site.release()
        self.ended(0)


def _check(block: list[Directive], where: str) -> None:
    known = _KNOWN[where] | _WITHOUT_EFFECT
    if where in ("http", "server", "location"):
        known |= _ANYWHERE
    if where in ("server", "location"):
        known |= _HANDLERS
    for directive in block:
        if directive.name not in known:
            raise directive.error(
                f'directive "{directive.name}" is not known to the sandbox\'s stand-in for nginx '
                "(install nginx on this machine and the sandbox runs that)"
            )


def _parse(head: bytes, remote: str, scheme: str, port: int) -> _Request:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, version = first.split(" ")
    if version not in ("HTTP/1.0", "HTTP/1.1") or not target.startswith("/"):
        raise ValueError(first)
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(line)
        headers.append((name, value.strip()))
    return _Request(method, target, version, headers, b"", remote, scheme, port)


async def _read_body(request: _Request, reader: asyncio.StreamReader, limit: int) -> None:
    if "chunked" in request.header("transfer-encoding").lower():
        parts: list[bytes] = []
        while size := int((await reader.readline()).partition(b";")[0], 16):
            if limit and sum(map(len, parts)) + size > limit:
                raise _RefusedError(413)
            parts.append(await reader.readexactly(size))
            await reader.readline()
        while (await reader.readline()).strip():
            pass  # trailers
        request.body = b"".join(parts)
        return
    text = request.header("content-length") or "0"
    if not text.isdigit():
        raise _RefusedError(400)
    if limit and int(text) > limit:
        raise _RefusedError(413)
    request.body = await reader.readexactly(int(text))


def _by_name(servers: list[_VirtualServer], host: str) -> _VirtualServer:
    for server in servers:
        if host in server.names or any(name[:2] == "*." and host.endswith(name[1:]) for name in server.names):
            return server
    return next((server for server in servers if server.default), servers[0])


def _find_location(locations: list[_Location], path: str) -> _Location | None:
    best: _Location | None = None
    for location in locations:
        if location.kind == "=" and location.pattern == path:
            return location
        prefix = location.kind in ("", "^~") and path.startswith(location.pattern)
        if prefix and (best is None or len(location.pattern) > len(best.pattern)):
            best = location
    if best is not None and best.kind == "^~":
        return best
    for location in locations:
        if location.kind[:1] == "~":
            flags = re.IGNORECASE if location.kind == "~*" else 0
            if re.search(location.pattern, path, flags):
                return location
    return best


def _message(status: int, headers: list[tuple[str, str]], body: bytes, *, close: bool, head: bool = False) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", "Server: nginx", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"Content-Length: {len(body)}", f"Connection: {'close' if close else 'keep-alive'}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if head else body)


def _page(status: int, *, close: bool, headers: list[tuple[str, str]] | None = None) -> bytes:
    try:
        title = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        title = str(status)
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><hr>nginx</body></html>\r\n"
    return _message(status, [("Content-Type", "text/html"), *(headers or [])], body.encode(), close=close)


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
