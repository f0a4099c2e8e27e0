"""When proxies and load balancers hear of a change."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from typing import Any

import pytest
from convoy_sandbox.network.data_plane import CLOUD, HEAR, INTERVAL, WRITE, AtOnce, Cloud, Key, KubeProxy, Route

HELLO: Key = ("lab", "hello")


class Handle:
    """A call that may be taken back."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """An event loop of which only the clock is used, which goes as far as a test says."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._due: list[tuple[float, int, Handle, Any, tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, call: Any, *arguments: Any) -> Handle:
        handle = Handle()
        heapq.heappush(self._due, (when, next(self._numbers), handle, call, arguments))
        return handle

    def call_later(self, seconds: float, call: Any, *arguments: Any) -> Handle:
        return self.call_at(self._now + seconds, call, *arguments)

    def go_on(self, seconds: float) -> None:
        end = self._now + seconds
        while self._due and self._due[0][0] <= end:
            self._now, _number, handle, call, arguments = heapq.heappop(self._due)
            if not handle.cancelled:
                call(*arguments)
        self._now = end


class World:
    """What the store says, what has taken effect, and when."""

    def __init__(self, kind: type[Any], seed: int = 0) -> None:
        self.clock = Clock()
        self.begun = self.clock.time()
        self.truth = "nobody"
        self.effect: list[tuple[float, str]] = []
        made = () if kind is AtOnce else (self.clock, random.Random(seed))
        self.follower = kind(*made, self._read, self._apply)

    def _read(self, key: Key) -> dict[str, Route]:
        assert key == HELLO
        return {"": Route([(self.truth, 80)])}

    def _apply(self, key: Key, routes: dict[str, Route]) -> None:
        assert key == HELLO
        self.effect.append((self.clock.time() - self.begun, routes[""].backends[0][0]))

    def change(self, truth: str) -> None:
        self.truth = truth
        self.follower.changed(HELLO)


def test_at_once_is_at_once() -> None:
    world = World(AtOnce)
    world.change("a")
    assert world.effect == [(0.0, "a")]


@pytest.mark.parametrize("seed", range(5))
def test_a_proxy_writes_soon_in_a_quiet_moment_and_then_at_most_once_a_second(seed: int) -> None:
    world = World(KubeProxy, seed)
    world.change("a")
    world.clock.go_on(0.1)
    [(first, truth)] = world.effect
    assert HEAR[0] + WRITE[0] <= first <= HEAR[1] + WRITE[1]
    assert truth == "a"
    world.change("b")
    world.clock.go_on(0.5)
    assert len(world.effect) == 1, "it has just written"
    world.change("c")
    world.clock.go_on(1.0)
    [(second, truth)] = world.effect[1:]
    assert second == pytest.approx(first + INTERVAL, abs=WRITE[1])
    assert truth == "c", "it writes what is true by then, once"


def test_what_changes_while_a_proxy_writes_has_to_wait_for_its_next_second() -> None:
    world = World(KubeProxy)
    world.change("a")
    world.clock.go_on(HEAR[1])
    world.change("b")
    world.clock.go_on(0.5)
    assert [truth for _when, truth in world.effect] == ["a"]
    world.clock.go_on(1)
    assert [truth for _when, truth in world.effect] == ["a", "b"]


def test_what_a_proxy_has_not_written_when_it_is_closed_is_never_written() -> None:
    world = World(KubeProxy)
    world.change("a")
    world.follower.close()
    world.clock.go_on(5)
    assert not world.effect


@pytest.mark.parametrize("seed", range(5))
def test_a_load_balancer_hears_of_each_change_seconds_later_and_never_of_an_older_one_again(seed: int) -> None:
    world = World(Cloud, seed)
    for truth in "abcdef":
        world.change(truth)
        world.clock.go_on(1)
    world.clock.go_on(CLOUD[0] - 6 - 0.01)
    assert not world.effect
    world.clock.go_on(CLOUD[1] + 6)
    seen = [truth for _when, truth in world.effect]
    assert seen == sorted(seen)
    assert seen[-1] == "f"
    for when, truth in world.effect:
        assert CLOUD[0] <= when - "abcdef".index(truth) <= CLOUD[1]


def test_the_same_seed_makes_the_same_delays() -> None:
    def delays(seed: int) -> list[tuple[float, str]]:
        world = World(Cloud, seed)
        for truth in "abc":
            world.change(truth)
        world.clock.go_on(30)
        return world.effect

    assert delays(1) == delays(1) != delays(2)


def test_a_real_loop_has_what_is_used() -> None:
    async def use() -> list[str]:
        seen: list[str] = []
        done = asyncio.Event()

        def apply(_key: Key, routes: dict[str, Route]) -> None:
            seen.append(routes[""].backends[0][0])
            done.set()

        follower = KubeProxy(asyncio.get_running_loop(), random.Random(0), lambda _key: {"": Route([("a", 80)])}, apply)
        follower.changed(HELLO)
        await done.wait()
        follower.close()
        return seen

    assert asyncio.run(use()) == ["a"]
