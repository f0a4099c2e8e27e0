"""Who changes with whom."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._waves import waves
from hypothesis import given
from hypothesis import strategies as st

FLEET = [f"c{number}" for number in range(1, 21)]
GROUPS = {"all": FLEET, "canary_region": ["c7"], "eu": ["c1", "c7", "c9"], "elsewhere": ["d1"]}


@pytest.mark.parametrize(
    ("asked", "sizes"),
    [
        ([1, "25%", "100%"], [1, 5, 14]),
        ("1,25%,100%", [1, 5, 14]),
        ([1], [1] * 20),
        (8, [8, 8, 4]),
        (["40%"], [8, 8, 4]),
        (["1%", "all"], [1, 19]),
        ([30], [20]),
        (["canary_region", "eu", "all"], [1, 2, 17]),
        (["elsewhere", "all"], [20]),
        (["eu", "50%"], [3, 10, 7]),
    ],
)
def test_sizes(asked: t.Any, sizes: list[int]) -> None:
    planned = waves(FLEET, asked, GROUPS)
    assert [len(wave["clusters"]) for wave in planned] == sizes
    assert [wave["number"] for wave in planned] == list(range(1, len(sizes) + 1))


def test_groups_take_their_own_in_the_order_of_the_fleet() -> None:
    assert waves(["c9", "c7", "c1", "c2"], ["canary_region", "eu", "100%"], GROUPS) == [
        {"number": 1, "name": "canary_region", "clusters": ["c7"]},
        {"number": 2, "name": "eu", "clusters": ["c9", "c1"]},
        {"number": 3, "name": "100%", "clusters": ["c2"]},
    ]


def test_a_cluster_that_is_in_no_wave_is_named() -> None:
    with pytest.raises(Failure, match=r"^c2, c3: in none of the waves eu; add all .* leave them out"):
        waves(["c1", "c2", "c3"], ["eu"], GROUPS)


@pytest.mark.parametrize("asked", ["", "0", "0%", "101%", "-1", "1.5", "nowhere", [1, ""]])
def test_what_is_no_wave(asked: t.Any) -> None:
    with pytest.raises(Failure, match=r"is not a wave: .* group of the inventory \(all, canary_region"):
        waves(FLEET, asked, GROUPS)


NUMBERS = st.one_of(st.integers(1, 30).map(str), st.integers(1, 100).map("{}%".format))


@given(st.integers(0, 40), st.lists(st.sampled_from([*GROUPS]) | NUMBERS, max_size=4), NUMBERS)
def test_each_cluster_has_one_wave_and_none_is_empty(size: int, first: list[str], last: str) -> None:
    fleet = [f"c{number}" for number in range(size)]
    planned = waves(fleet, [*first, last], GROUPS)
    assert sorted(cluster for wave in planned for cluster in wave["clusters"]) == sorted(fleet)
    assert all(wave["clusters"] for wave in planned)
