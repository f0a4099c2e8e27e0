# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""When what stands between users and pods hears that a pod has come or goes.

Users get to a pod by the rules of a node's proxy, or by a cloud's load balancer. Both follow the EndpointSlices, and
both follow them late: that is what users lose requests by, whose pods stop listening as soon as they are told to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import asyncio
    import random
    from collections.abc import Callable, Mapping

#: What a sandbox's data plane can be: as that of a node, as that of a node behind a cloud's load balancer, or one that
#: hears of everything at once, as none in the world does.
DATA_PLANES = ("kube-proxy", "cloud", "instant")

INTERVAL = 1.0  #: seconds between two writes of a proxy's rules (kube-proxy's minSyncPeriod)
HEAR = (0.002, 0.006)  #: seconds until a proxy hears of a change, and begins to write where it has not just done so
WRITE = (0.01, 0.04)  #: seconds that it writes, after which the rules have what was true when it began
CLOUD = (5.0, 20.0)  #: seconds from a change to a load balancer of a cloud

Key = tuple[str, str]
Backend = tuple[str, int]


class Route(NamedTuple):
    """Where new connections to one port of a Service go."""

    backends: list[Backend]
    affinity_seconds: int = 0


if TYPE_CHECKING:
    Routes = Mapping[str, Route]  #: by the port's name


class Follower(Protocol):
    """Hears of changes, and has them take effect when its kind of proxy would."""

    def changed(self, key: Key) -> None:
        """A Service or its EndpointSlices have changed."""

    def close(self) -> None:
        """Follow nothing more."""


class AtOnce:
    """Has every change take effect when it is made."""

    def __init__(self, read: Callable[[Key], Routes], apply: Callable[[Key, Routes], None]) -> None:
        self._read, self._apply = read, apply

    def changed(self, key: Key) -> None:
        """A Service or its EndpointSlices have changed."""
        self._apply(key, self._read(key))

    def close(self) -> None:
        """Follow nothing more."""


class KubeProxy:
    """The proxy of a node: writes the rules of all Services at once, and at most once a second.

    In a quiet moment a pod that ends is taken out before it gets its signal. Where Deployments are rolled, a new pod
    that is ready has just used up the second.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        chance: random.Random,
        read: Callable[[Key], Routes],
        apply: Callable[[Key, Routes], None],
    ) -> None:
        self._loop, self._chance, self._read, self._apply = loop, chance, read, apply
        self._changed: dict[Key, None] = {}
        self._written = loop.time() - INTERVAL
        self._timer: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.TimerHandle] = set()

    def changed(self, key: Key) -> None:
        """A Service or its EndpointSlices have changed."""
        self._changed[key] = None
        if self._timer is None:
            soon = self._loop.time() + self._chance.uniform(*HEAR)
            self._timer = self._loop.call_at(max(soon, self._written + INTERVAL), self._write)

    def _write(self) -> None:
        self._timer = None
        self._written = self._loop.time()
        rules = {key: self._read(key) for key in self._changed}
        self._changed = {}

        def written() -> None:
            self._writing.discard(timer)
            for key, routes in rules.items():
                self._apply(key, routes)

        timer = self._loop.call_later(self._chance.uniform(*WRITE), written)
        self._writing.add(timer)

    def close(self) -> None:
        """Follow nothing more."""
        for timer in [*([self._timer] if self._timer else []), *self._writing]:
            timer.cancel()


class Cloud:
    """A cloud's load balancer, which leads to pods: it hears of each change 5 to 20 seconds later."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        chance: random.Random,
        read: Callable[[Key], Routes],
        apply: Callable[[Key, Routes], None],
    ) -> None:
        self._loop, self._chance, self._read, self._apply = loop, chance, read, apply
        self._count = 0
        self._applied: dict[Key, int] = {}  # the number of the change that each has
        self._timers: set[asyncio.TimerHandle] = set()

    def changed(self, key: Key) -> None:
        """A Service or its EndpointSlices have changed."""
        self._count += 1
        number, routes = self._count, self._read(key)

        def take_effect() -> None:
            self._timers.discard(timer)
            if number > self._applied.get(key, 0):  # a later change may have been faster
                self._applied[key] = number
                self._apply(key, routes)

        timer = self._loop.call_later(self._chance.uniform(*CLOUD), take_effect)
        self._timers.add(timer)

    def close(self) -> None:
        """Follow nothing more."""
        for timer in self._timers:
            timer.cancel()
