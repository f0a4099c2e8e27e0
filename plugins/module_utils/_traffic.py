# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sampling: many single requests, each over a connection of its own.

Kubernetes balances connections, not requests, so a connection that is kept would count one pod many times.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import typing as t
from dataclasses import dataclass, field

MOST = 1024 * 1024  #: bytes of an answer that are read


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


@dataclass(frozen=True)
class Sample:
    """What became of one request: a version, or the category of the error. Seconds from connect to end."""

    seconds: float
    version: str | None = None
    error: str | None = None


Reader = t.Callable[[t.Mapping[str, str], bytes], "str | None"]


async def _exchange(target: Target, request: bytes, read_version: Reader) -> tuple[str | None, str | None]:
    try:
        reader, writer = await _connected(target)
    except ssl.SSLCertVerificationError as error:
        return None, f"certificate not trusted ({error.verify_message})"
    except ssl.SSLError:
        return None, "TLS failed"
    except ConnectionRefusedError:
        return None, "connection refused"
    except ConnectionResetError:
        return None, "connection lost"
    except _ProxyRefused as error:
        return None, str(error)
    except OSError as error:
        return None, f"no connection ({error.strerror or type(error).__name__})"
    try:
        writer.write(request)
        try:
            status, headers, body = await _answer(reader)
        except (ValueError, IndexError, asyncio.LimitOverrunError):
            return None, "not HTTP"
        except (OSError, EOFError, asyncio.IncompleteReadError):
            return None, "connection lost"
    finally:
        writer.transport.abort()  # an answered request has nothing more to say; do not wait for TLS's goodbye
    if not 200 <= status < 300:
        return None, f"HTTP {status}"
    version = read_version(headers, body)
    return (version, None) if version else (None, "no version in the answer")


class _ProxyRefused(Exception):
    """The HTTP proxy did not open the way."""


async def _connected(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = (target.server_name or target.host) if target.ssl_context else None
    if target.proxy is None:
        return await asyncio.open_connection(target.host, target.port, ssl=target.ssl_context, server_hostname=name)
    reader, writer = await asyncio.open_connection(*target.proxy)
    try:
        place = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
        writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if head.split(b" ", 2)[1:2] != [b"200"]:
            raise _ProxyRefused("refused by the proxy")
        if target.ssl_context:
            await writer.start_tls(target.ssl_context, server_hostname=name)
    except asyncio.IncompleteReadError as error:
        writer.transport.abort()
        raise _ProxyRefused("refused by the proxy") from error
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1]) if head[0].startswith("HTTP/") else int("not a status")
    headers = {
        name.strip().lower(): value.strip()
        for name, _colon, value in (line.partition(":") for line in head[1:])
        if name
    }
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while True:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            if size == 0 or len(body) > MOST:
                return status, headers, body
            if size > MOST:
                return status, headers, body + await reader.readexactly(MOST)
            body += (await reader.readexactly(size + 2))[:-2]
    if "content-length" in headers:
        return status, headers, await reader.readexactly(min(int(headers["content-length"]), MOST))
    return status, headers, await reader.read(MOST)


async def _one(target: Target, request: bytes, read_version: Reader, seconds: float) -> Sample:
    start = time.monotonic()
    try:
        version, error = await asyncio.wait_for(_exchange(target, request, read_version), seconds)
    except asyncio.TimeoutError:
        version, error = None, "timeout"
    return Sample(time.monotonic() - start, version, error)


async def _all(
    target: Target, read_version: Reader, samples: int, concurrency: int, seconds: float, rate_limit: float
) -> list[Sample]:
    request, taken, results = target.request(), 0, []
    start = time.monotonic()

    async def worker() -> None:
        nonlocal taken
        while taken < samples:
            turn, taken = taken, taken + 1
            early = start + turn / rate_limit - time.monotonic() if rate_limit else 0.0
            if early > 0:
                await asyncio.sleep(early)
            results.append(await _one(target, request, read_version, seconds))

    await asyncio.gather(*(worker() for _worker in range(min(concurrency, samples))))
    return results


def sample(
    target: Target, read_version: Reader, *, samples: int, concurrency: int, timeout: float, rate_limit: float
) -> list[Sample]:
    """Make `samples` requests, up to `concurrency` at once, at most `rate_limit` a second (0: no limit).

    `timeout` are seconds for one request. Nothing is raised: what fails is a Sample with an error.
    """
    return asyncio.run(_all(target, read_version, samples, concurrency, timeout, rate_limit))
