# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The changing requests of clients, counted as they come; one can be held before or after it is done."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .authorization import Action

if TYPE_CHECKING:
    from collections.abc import Callable

VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
#: How many of the latest writes are remembered.
_KEPT = 10_000


@dataclass(frozen=True)
class Write:
    """A changing request: its number (from 1 on), what it asked for and by which program."""

    number: int
    action: Action
    user_agent: str

    def __str__(self) -> str:
        where = "/".join(filter(None, (self.action.namespace, self.action.name)))
        return f"{self.number} {self.action.verb} {self.action.full_resource} {where}"


class Hold:
    """A stop at one write: `wait` until a client is there, then `release` it, or kill the client and `abandon` it.

    An abandoned write that was held `before` has changed nothing; held `after` it is done, and the
    client never heard of it.
    """

    def __init__(
        self,
        number: int,
        when: Literal["before", "after"],
        counts: Callable[[Write], bool],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.when = when
        self.write: Write | None = None
        self._left = number
        self._counts = counts
        self._number: int | None = None  # of the write that it is for
        self._loop = loop
        self._reached = threading.Event()
        self._released = asyncio.Event()
        self._abandoned = False

    def wait(self, seconds: float) -> Write | None:
        """The write that is held; None where it does not come within a time."""
        return self.write if self._reached.wait(seconds) else None

    def release(self) -> None:
        """Let the write go on, or nothing be held if it has not come yet."""
        self._loop.call_soon_threadsafe(self._released.set)

    def abandon(self) -> None:
        """Let the write's connection break where it is held: its client is gone."""
        self._abandoned = True
        self.release()

    def count(self, write: Write) -> None:
        """A write has come."""
        if self._number is None and self._counts(write):
            self._left -= 1
            if not self._left:
                self._number = write.number

    def is_over(self, write: Write) -> bool:
        """Whether there is nothing to stop at after a write that is done."""
        return self._released.is_set() or self._number == write.number

    async def at(self, write: Write, when: str) -> None:
        """A write is at a point: stay there if it is the one. Raises ConnectionResetError for an abandoned one."""
        if when != self.when or write.number != self._number or self._released.is_set():
            return
        self.write = write
        self._reached.set()
        await self._released.wait()
        if self._abandoned:
            raise ConnectionResetError


class Writes:
    """What clients have changed, or tried to; dry runs and reviews do not count."""

    def __init__(self) -> None:
        self.count = 0
        self.seen: deque[Write] = deque(maxlen=_KEPT)
        self._holds: list[Hold] = []

    def hold(
        self,
        number: int,
        when: Literal["before", "after"] = "before",
        counts: Callable[[Write], bool] = lambda _write: True,
    ) -> Hold:
        """Stop at the `number`th write from now that `counts` (1 is the next). Called on the event loop."""
        hold = Hold(number, when, counts, asyncio.get_running_loop())
        self._holds.append(hold)
        return hold

    def note(self, action: Action, user_agent: str) -> Write:
        """A write has come."""
        self.count += 1
        write = Write(self.count, action, user_agent)
        self.seen.append(write)
        for hold in self._holds:
            hold.count(write)
        return write

    async def at(self, write: Write, when: Literal["before", "after"]) -> None:
        """A write is about to be done, or is done but not answered."""
        for hold in list(self._holds):
            await hold.at(write, when)
        if when == "after":
            self._holds = [hold for hold in self._holds if not hold.is_over(write)]
