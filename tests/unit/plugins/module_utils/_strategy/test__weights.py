"""Weights to replicas, against every split that there is."""

from __future__ import annotations

from fractions import Fraction

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._weights import (
    Split,
    exact,
    missed,
    nearest,
    percent,
    reachable,
    weight_of,
)
from hypothesis import given
from hypothesis import strategies as st

REPLICAS = st.integers(1, 12)
WEIGHTS = st.integers(1, 100).map(lambda number: Fraction(number, 100)) | st.fractions(
    Fraction(1, 30), 1, max_denominator=30
)


def allowed(replicas: int) -> list[Split]:
    """Every split of up to twice the replicas that the rules allow, found by trying all."""
    return [
        Split(canary, stable)
        for canary in range(1, replicas + 1)
        for stable in range(replicas + 1)
        if canary + stable >= replicas  # never fewer pods than without a canary
        and (stable == replicas or canary == replicas)  # stable shrinks only beside a whole canary
    ]


@given(REPLICAS)
def test_the_reachable_splits_are_all_that_the_rules_allow_by_rising_share(replicas: int) -> None:
    splits = reachable(replicas)
    assert set(splits) == set(allowed(replicas))
    shares = [split.share for split in splits]
    assert shares == sorted(set(shares))
    assert shares[-1] == 1


@given(WEIGHTS, REPLICAS)
def test_the_nearest_split_is_the_one_that_trying_all_finds(weight: Fraction, replicas: int) -> None:
    usable = [split for split in allowed(replicas) if (split.stable == 0) == (weight == 1)]
    closest = min(abs(split.share - weight) for split in usable)
    found = nearest(weight, replicas)
    assert abs(found.share - weight) == closest
    assert found.share == min(split.share for split in usable if abs(split.share - weight) == closest)


@given(WEIGHTS, REPLICAS)
def test_the_exact_split_is_that_of_the_fewest_copies_that_reach_the_weight(weight: Fraction, replicas: int) -> None:
    found = exact(weight, replicas)
    assert found.share == weight
    begin = replicas
    while not any(split.share == weight for split in reachable(begin)):
        begin += 1
    assert max(found.canary, found.stable) == begin
    assert found in reachable(begin)


@given(WEIGHTS, WEIGHTS, REPLICAS)
def test_a_higher_weight_never_means_fewer_canaries_or_more_of_stable(one: Fraction, other: Fraction, n: int) -> None:
    low, high = (nearest(weight, n) for weight in sorted((one, other)))
    assert low.canary <= high.canary
    assert low.stable >= high.stable


@pytest.mark.parametrize(
    ("weight", "replicas", "canary", "stable", "said"),
    [
        (25, 3, 1, 3, "1 of 4 pods gives 25%"),  # the lab's
        (50, 3, 3, 3, "3 of 6 pods gives 50%"),
        (75, 3, 3, 1, "3 of 4 pods gives 75%"),
        (100, 3, 3, 0, "3 of 3 pods gives 100%"),
        (99, 3, 3, 1, "3 of 4 pods gives 75%"),  # less than everything leaves one
        (10, 1, 1, 1, "1 of 2 pods gives 50%"),
        (33, 3, 2, 3, "2 of 5 pods gives 40%"),
        (12.5, 7, 1, 7, "1 of 8 pods gives 12.5%"),
    ],
)
def test_splits_by_hand(weight: float, replicas: int, canary: int, stable: int, said: str) -> None:
    split = nearest(weight_of(weight), replicas)
    assert split == Split(canary, stable)
    assert str(split) == said


@pytest.mark.parametrize(
    ("weight", "replicas", "said"),
    [
        (10, 3, "1 of 4 pods gives 25%; 10% needs 9 stable and 1 canary, 6 more stable pods"),
        (20, 3, "1 of 4 pods gives 25%; 20% needs 4 stable and 1 canary, 1 more stable pod"),
        (90, 3, "3 of 4 pods gives 75%; 90% needs 1 stable and 9 canary, 6 more stable pods to begin with"),
    ],
)
def test_what_a_weight_would_need(weight: int, replicas: int, said: str) -> None:
    asked = weight_of(weight)
    assert missed(asked, nearest(asked, replicas), replicas) == said


@pytest.mark.parametrize("number", [-0.1, -5, 100.1, 250, "nan", "inf", "much"])
def test_no_weight(number: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        weight_of(number)


def test_shares_as_people_write_them() -> None:
    assert [percent(Fraction(n, 7)) for n in (1, 7)] == ["14.3%", "100%"]
    assert [percent(Fraction(n, 10000)) for n in (0, 1, 25, 100, 125)] == ["0%", "0.01%", "0.25%", "1%", "1.2%"]
