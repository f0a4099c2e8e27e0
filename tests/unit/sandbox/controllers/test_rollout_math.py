"""A rolling update keeps its promises whatever becomes ready when."""

from __future__ import annotations

import dataclasses
import random

import pytest
from convoy_sandbox.controllers.rollout_math import (
    Size,
    bounds,
    proportional,
    proportions,
    resolve,
    scale_down_old,
    scale_up_new,
)
from hypothesis import given
from hypothesis import strategies as st

limits = st.one_of(st.integers(0, 5), st.integers(0, 100).map(lambda n: f"{n}%"))


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "result"),
    [
        (3, "25%", "25%", (1, 0)),
        (10, "25%", "25%", (3, 2)),
        (4, 1, 0, (1, 0)),
        (1, "0%", "10%", (0, 1)),
        (0, 1, 1, (1, 1)),
    ],
)
def test_surge_is_rounded_up_and_unavailability_down(
    replicas: int, surge: int | str, unavailable: int | str, result: tuple[int, int]
) -> None:
    assert bounds(replicas, surge, unavailable) == result


@given(st.integers(1, 12), limits, limits, st.lists(st.integers(0, 6), min_size=1, max_size=3), st.integers())
def test_a_rollout_stays_within_its_bounds_and_ends(
    replicas: int, max_surge: int | str, max_unavailable: int | str, old_sizes: list[int], seed: int
) -> None:
    """Pods become available in any order; the controller acts on what it sees."""
    chance = random.Random(seed)
    surge, unavailable = bounds(replicas, max_surge, max_unavailable)
    old_sizes = [min(size, replicas) for size in old_sizes]
    while sum(old_sizes) > replicas:
        old_sizes.pop()
    old = [Size(f"old-{i}", size, size) for i, size in enumerate(old_sizes)]
    new = Size("new", 0, 0)
    start = sum(old_sizes)
    for _ in range(200):
        desired = scale_up_new(new, old, replicas, surge)
        new = dataclasses.replace(new, desired=desired)
        shrunk = scale_down_old(new, old, replicas, unavailable)
        old = [
            dataclasses.replace(
                s, desired=shrunk.get(s.name, s.desired), available=min(s.available, shrunk.get(s.name, s.desired))
            )
            for s in old
        ]
        total = new.desired + sum(s.desired for s in old)
        available = new.available + sum(s.available for s in old)
        assert total <= max(replicas + surge, start)
        assert available >= min(start, replicas - unavailable)
        if new.desired == new.available == replicas and not any(s.desired for s in old):
            return
        if new.available < new.desired and chance.random() < 0.7:
            new = dataclasses.replace(new, available=new.available + chance.randint(1, new.desired - new.available))
    raise AssertionError("the rollout did not end")


def test_pods_that_are_not_available_go_first() -> None:
    new = Size("new", 1, 0)
    old = [Size("broken", 2, 0), Size("good", 3, 3)]
    assert scale_down_old(new, old, 3, 0) == {"broken": 0}


@given(
    st.lists(st.integers(0, 20), min_size=2, max_size=4),
    st.integers(0, 40),
)
def test_a_scaled_rollout_has_the_pods_it_is_allowed(sizes: list[int], allowed: int) -> None:
    members = [Size(f"s{i}", size, size) for i, size in enumerate(sizes)]
    previous = {member.name: sum(sizes) for member in members}
    result = proportional(members, allowed, proportions(members, allowed, previous))
    assert all(count >= 0 for count in result.values())
    if any(sizes):
        assert sum(result.values()) == allowed


def test_a_percentage_of_a_number() -> None:
    assert (resolve("50%", 3, up=True), resolve("50%", 3, up=False), resolve(2, 3, up=True)) == (2, 1, 2)
