# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long the sandbox waits for an answer: what a busy machine keeps from it is nobody's fault in the cluster."""

from __future__ import annotations

import asyncio
from types import TracebackType

_PARTS = 20


class Patience:
    """As `asyncio.timeout`, but each turn of the event loop takes a twentieth of the seconds at most.

    A kubelet has a processor of its own, as have the pods that it asks. Here all of them share one event loop: where
    the machine has so little time for it that a turn takes long, an answer that comes in a few turns would be late, and
    pods that are well would be taken out of their Services.
    """

    def __init__(self, seconds: float) -> None:
        self._part = seconds / _PARTS
        self._left = _PARTS
        self._limit = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._begin_part()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _begin_part(self) -> None:
        loop = asyncio.get_running_loop()
        if self._left:
            self._left -= 1
            self._timer = loop.call_later(self._part, self._begin_part)
        else:
            self._limit.reschedule(loop.time())
