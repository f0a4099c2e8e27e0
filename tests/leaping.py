"""An event loop whose time leaps over waits: what takes minutes by the clock takes as long as it computes.

Everything that takes part has to be on the loop, clients and servers alike: time goes on once nobody has anything to do
and nothing is on its way between two of its sockets, then at once to the moment for which the next of them waits.
Whatever happens at its own time happens in the same order on a busy machine as on an idle one.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: How long the kernel may take to bring what one socket of this process sent to another one, beside what it has queued.
_KERNEL_SECONDS = 0.001
_ROUNDS = 4  #: packets of a connection that follow from each other: the three that open it, and what is sent


class _Leaping(selectors.DefaultSelector):
    """Waits for no time to pass but its own."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self._queued = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._queued.bind(("127.0.0.1", 0))
        self._queued.connect(self._queued.getsockname())

    def close(self) -> None:
        self._queued.close()
        super().close()

    def _await_kernel(self) -> None:
        """Return when what was sent has come: a busy kernel queues packets, and brings them in their order."""
        for _round in range(_ROUNDS):
            self._queued.send(b"?")
            self._queued.recv(1)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        if timeout is None:  # somebody outside has to do something
            return super().select(None)
        self._await_kernel()
        found = super().select(_KERNEL_SECONDS)
        if not found:
            self.time += timeout
        return found


class LeapingLoop(asyncio.SelectorEventLoop):
    """`time` begins at 0, `time_of_day` at any moment, in seconds since the epoch."""

    def __init__(self, began: float) -> None:
        self._leaping = _Leaping()
        self._began = began
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.time

    def time_of_day(self) -> float:
        """Seconds since the epoch."""
        return self._began + self._leaping.time


def run(work: Coroutine[Any, Any, T], began: float | None = None) -> T:
    """What a coroutine comes to that begins at a moment, in seconds since the epoch, or now."""
    start = time.time() if began is None else began
    with asyncio.Runner(loop_factory=lambda: LeapingLoop(start)) as runner:
        return runner.run(work)
