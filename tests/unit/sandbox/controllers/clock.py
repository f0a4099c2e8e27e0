"""An event loop in which time passes at once: where nothing is left to do until a timer, it is that late already."""

from __future__ import annotations

import asyncio
import datetime
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest import mock

from convoy_sandbox import times

T = TypeVar("T")


class _Skipping(selectors.DefaultSelector):
    """Waits for nothing but what has no end."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0  #: seconds

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout if timeout is None else 0)
        if timeout and not ready:
            self.skipped += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.skipping = _Skipping()
        super().__init__(self.skipping)

    def time(self) -> float:
        return super().time() + self.skipping.skipped


def at_once(main: Coroutine[Any, Any, T]) -> T:
    """Run to its end what waits for timers only, and neither for threads nor for other processes."""
    now = times.now
    with asyncio.Runner(loop_factory=_Loop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, _Loop)

        def later() -> datetime.datetime:
            return now() + datetime.timedelta(seconds=loop.skipping.skipped)

        with mock.patch.object(times, "now", later):
            return runner.run(main)
