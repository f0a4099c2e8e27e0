"""Connections made one: bytes, ends and refusals reach the other side."""

from __future__ import annotations

import asyncio
import hashlib
import socket

from convoy_sandbox.network.addresses import Ports
from convoy_sandbox.network.sockets import Listener, Splice, connect
from unit.sandbox.network.support import addresses


def _forward(ports: Ports, ip: str, port: int, target: tuple[str, int], splices: set[Splice]) -> Listener:
    loop = asyncio.get_running_loop()

    def accepted(client: socket.socket) -> None:
        def connected(server: socket.socket | None) -> None:
            if server is None:
                client.close()
                return
            splice = Splice(loop, client, server, splices.discard)
            splices.add(splice)
            splice.start()

        connect(loop, target, connected)

    return Listener(ports.bind(ip, port), accepted)


def test_much_data_goes_both_ways_past_a_slow_reader() -> None:
    data = bytes(range(256)) * 40_000  # 10 MB: more than the kernel buffers

    async def run() -> tuple[str, int]:
        splices: set[Splice] = set()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received = await reader.read()  # all of it before a byte goes back
            writer.write(received)
            await writer.drain()
            writer.close()

        with addresses() as block:
            ip, ports = block.pods.take(), Ports()
            server = await asyncio.start_server(echo, ip, 7000, limit=2**25)
            listener = _forward(ports, ip, 8000, (ip, 7000), splices)
            reader, writer = await asyncio.open_connection(ip, 8000)
            writer.write(data)
            writer.write_eof()
            digest = hashlib.sha256()
            while chunk := await reader.read(4096):
                digest.update(chunk)
            writer.close()
            listener.close()
            server.close()
            return digest.hexdigest(), len(splices)

    assert asyncio.run(asyncio.wait_for(run(), 300)) == (hashlib.sha256(data).hexdigest(), 0)


def test_a_reset_server_resets_the_client() -> None:
    async def run() -> str:
        def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        with addresses() as block:
            ip, ports = block.pods.take(), Ports()
            server = await asyncio.start_server(drop, ip, 7000)
            listener = _forward(ports, ip, 8000, (ip, 7000), set())
            reader, writer = await asyncio.open_connection(ip, 8000)
            try:
                answer = await reader.read()
                return f"end of file after {len(answer)} bytes"
            except ConnectionResetError:
                return "reset"
            finally:
                writer.close()
                listener.close()
                server.close()

    # An aborted asyncio connection is closed, with a reset only where data was left unread.
    assert asyncio.run(asyncio.wait_for(run(), 300)) in ("reset", "end of file after 0 bytes")


def test_connect_says_that_nobody_listens() -> None:
    async def run() -> socket.socket | None:
        future: asyncio.Future[socket.socket | None] = asyncio.get_running_loop().create_future()
        with addresses() as block:
            connect(asyncio.get_running_loop(), (block.pods.take(), 7000), future.set_result)
            return await asyncio.wait_for(future, 300)

    assert asyncio.run(run()) is None


def test_connections_made_before_a_listener_closes_are_accepted() -> None:
    async def run() -> int:
        accepted: list[socket.socket] = []
        with addresses() as block:
            ip, ports = block.pods.take(), Ports()
            listener = Listener(ports.bind(ip, 8000), accepted.append)
            # Made by the kernel; the event loop has had no turn to accept them.
            clients = [socket.create_connection((ip, 8000)) for _ in range(5)]
            listener.close()
            for sock in [*clients, *accepted]:
                sock.close()
            return len(accepted)

    assert asyncio.run(run()) == 5
