"""The program of the image `lab/tool:1` of the recordings: it does what its arguments say.

`exit CODE [AFTER]`, `serve PORT [GOOD_AFTER [BAD_AFTER]]`, `stubborn`, `hog MEBIBYTES`, `say CODE`; nothing: wait
for SIGTERM and end with 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from convoy_sandbox.network.addresses import Ports, PortTakenError
from convoy_sandbox.network.programs import Base, Request, Response, Server

#: How long it takes to fill the memory that a container may have.
_HOG_SECONDS = 0.2


class Tool(Base):
    """A container of it, on the event loop of the sandbox."""

    def __init__(self, ip: str, ports: Ports, arguments: list[str], memory_limit: int | None) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._release: Callable[[], None] = lambda: None
        self._server: Server | None = None
        self._obeys = True
        word, *rest = arguments or [""]
        if word == "exit":
            self.log("tool exit")
            self._obeys = False
            self._later(float(rest[1]) if len(rest) > 1 else 0, int(rest[0]))
        elif word == "serve":
            self._serve(ip, ports, int(rest[0]), *map(float, rest[1:]))
        elif word == "stubborn":
            self._obeys = False
        elif word == "hog" and memory_limit is not None and int(rest[0]) << 20 > memory_limit:
            self._loop.call_later(_HOG_SECONDS, self._hogged)
        elif word == "say":
            self.end_message = "said before the end"
            self._later(0, int(rest[0]))

    def _later(self, seconds: float, code: int) -> None:
        self._loop.call_later(seconds, self._end, code)

    def _serve(self, ip: str, ports: Ports, port: int, good_after: float = 0, bad_after: float = float("inf")) -> None:
        """HTTP that is 200 for a while."""
        began = self._loop.time()
        try:
            sock = ports.bind(ip, port)
        except PortTakenError:
            self._later(0, 1)
            return

        def handle(_: Request) -> Response:
            return Response(200 if good_after <= self._loop.time() - began < bad_after else 500)

        self._server = Server(sock, handle)
        self._release = lambda: ports.release(ip, port)

    def _hogged(self) -> None:
        self.end_reason = "OOMKilled"
        self._end(137)

    async def stop(self, grace_seconds: float) -> None:
        """SIGTERM, and SIGKILL after the grace period."""
        if not self._obeys:
            await asyncio.wait([self.exited], timeout=grace_seconds)
        self._end(0 if self._obeys else 137)

    def _end(self, code: int) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._release()
        self.ended(code)
