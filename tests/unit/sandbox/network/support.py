"""What the network's tests share: addresses of their own and the plainest of clients."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from convoy_sandbox.network.addresses import Addresses, Ports
from convoy_sandbox.network.images import Image
from convoy_sandbox.network.programs import App


@contextlib.contextmanager
def addresses() -> Iterator[Addresses]:
    """A block of loopback addresses for one test."""
    block = Addresses.claim("unit-tests")
    try:
        yield block
    finally:
        block.close()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def exchange(ip: str, port: int, request: bytes, *, tls: bool = False) -> bytes:
    """Everything a server sends in answer to some bytes, until it closes."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(300):
        reader, writer = await asyncio.open_connection(ip, port, ssl=context)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()


async def get(
    ip: str,
    port: int,
    path: str = "/",
    *,
    tls: bool = False,
    method: str = "GET",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> Answer:
    """One HTTP request on a connection of its own."""
    lines = [f"{method} {path} HTTP/1.1"]
    given = {"Host": "test", "Connection": "close", **(headers or {})}
    if body:
        given["Content-Length"] = str(len(body))
    lines += [f"{name}: {value}" for name, value in given.items()]
    data = await exchange(ip, port, "\r\n".join([*lines, "", ""]).encode() + body, tls=tls)
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *others = head.decode().split("\r\n")
    pairs = (line.partition(":") for line in others)
    return Answer(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, rest)


async def until(seen: Callable[[], object]) -> None:
    """Let the event loop turn until something is seen."""
    async with asyncio.timeout(300):
        while not seen():  # noqa: ASYNC110 - what is watched has no event of its own
            await asyncio.sleep(0.001)


async def listening(ip: str, port: int) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(300):
        while await refused(ip, port):  # noqa: ASYNC110 - only trying tells
            await asyncio.sleep(0.01)


async def refused(ip: str, port: int) -> bool:
    """Whether nobody listens there."""
    try:
        _, writer = await asyncio.open_connection(ip, port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


@contextlib.asynccontextmanager
async def app(ip: str, ports: Ports, image: Image, *arguments: str) -> AsyncIterator[App]:
    """A running container of hello or auth."""
    running = App(image, ip, ports, list(arguments))
    try:
        yield running
    finally:
        await running.stop(0)
