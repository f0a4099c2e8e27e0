"""The event loop whose time leaps: everything in its order, and nothing on its way between two moments."""

from __future__ import annotations

import asyncio

import leaping
from convoy_sandbox import times


def test_what_waits_longer_comes_later_and_an_hour_passes_at_once() -> None:
    async def work() -> list[tuple[float, str]]:
        loop, seen = asyncio.get_running_loop(), []

        async def wait(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            seen.append((round(loop.time(), 6), name))

        await asyncio.gather(wait(3600, "hour"), wait(0.001, "moment"), wait(60, "minute"))
        return seen

    assert leaping.run(work(), 0.0) == [(0.001, "moment"), (60.0, "minute"), (3600.0, "hour")]


def test_time_stands_still_while_something_is_on_its_way() -> None:
    async def work() -> tuple[bytes, float]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        async with asyncio.timeout(0.5):
            said = await reader.readline()
        writer.close()
        server.close()
        return said, asyncio.get_running_loop().time()

    assert leaping.run(work(), 0.0) == (b"hello\n", 0.0)


def test_the_cluster_has_the_time_of_day_of_its_loop() -> None:
    async def work() -> tuple[str, str]:
        before = times.timestamp()
        await asyncio.sleep(90)
        return before, times.timestamp()

    assert leaping.run(work(), 1_000_000_000.5) == ("2001-09-09T01:46:40Z", "2001-09-09T01:48:10Z")
