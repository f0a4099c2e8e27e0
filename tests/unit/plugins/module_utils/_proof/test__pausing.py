"""A pause as its slices come in."""

from __future__ import annotations

import typing as t
from collections import Counter
from random import Random

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._proof._pausing import Pause

QUARTER = {"1": 0.75, "2": 0.25}
HOUR = 360


def pause(**given: t.Any) -> Pause:
    return Pause(("1", "2"), HOUR, 0.01, **{"min_success": 0.999, **given})


def seen(new: int = 25, old: int = 75, **given: t.Any) -> dict[str, t.Any]:
    """A slice of 100 requests, in which nothing was lost or slow unless that is said."""
    found = {"counts": Counter({"1": old, "2": new}), "errors": {}, "errors_by_version": {}, "slow_by": {}, **given}
    answered = sum(found["counts"].values())
    return {"samples": answered + sum(found["errors"].values()), "effective": answered, **found}


def until(watch: Pause, found: dict[str, t.Any], expected: dict[str, float] = QUARTER) -> tuple[int, str]:
    """After how many of such slices it ends, and why; HOUR where it does not."""
    for number in range(1, HOUR + 1):
        why = watch.add(found, expected)
        if why:
            return number, why
    return HOUR, ""


@pytest.mark.parametrize("new", [15, 25, 33, 35])
def test_a_share_within_the_tolerance_stays(new: int) -> None:
    assert until(pause(), seen(new, 100 - new)) == (HOUR, "")


def test_a_share_that_turns_is_told_with_what_it_is_of_late() -> None:
    watch = pause()
    assert until(watch, seen()) == (HOUR, "")
    watch = pause()
    for _slice in range(HOUR // 2):
        assert not watch.add(seen(), QUARTER)
    number, why = until(watch, seen(50, 50))
    assert number <= 6
    assert why.endswith("expected 25 ± 10: its share has changed during the pause")
    assert "2 answers " in why


def test_another_tolerance_is_another_edge() -> None:
    assert until(pause(tolerance=0.3), seen(50, 50)) == (HOUR, "")
    assert until(pause(tolerance=0.02), seen(33, 67))[0] < 60


def test_shares_are_not_judged_where_none_can_be_told_and_of_dependent_answers_less() -> None:
    assert until(pause(), seen(0, 100), {}) == (HOUR, "")
    soon, _why = until(pause(), seen(50, 50))
    late, _why = until(pause(), seen(50, 50, effective=10))
    assert soon * 5 < late < HOUR


def test_a_version_that_nobody_expects_ends_it_at_once() -> None:
    found = seen(counts=Counter({"1": 75, "2": 24, "3": 1}))
    assert until(pause(), found) == (1, "3 answers 1 of 100 requests, expected 0%")


def test_one_lost_request_in_ten_thousand_is_no_reason_and_one_in_ninety_more_is_found_in_minutes() -> None:
    random, watch = Random(2), pause()
    for _slice in range(HOUR):
        lost = sum(random.random() < 0.0001 for _request in range(100))
        assert not watch.add(seen(25 - lost, 75, errors={"timeout": lost}), QUARTER)
    number, why = until(pause(), seen(24, 75, errors={"HTTP 503": 1}))
    assert 6 < number < 20
    assert why.startswith("6 of 600 requests were lost in the last 6 slices of the pause, where 0.1% may be")
    number, why = until(pause(), seen(0, 0, errors={"connection refused": 100}))
    assert (number, why) == (1, "100 of 100 requests were lost in the last slice of the pause, where 0.1% may be")


def test_a_small_canary_that_fails_its_own_requests_is_found_where_answers_name_it() -> None:
    few = {"1": 0.98, "2": 0.02}
    own = seen(1, 98, errors={"HTTP 500": 1}, errors_by_version={"2": 1})
    number, why = until(pause(), own, few)
    named = "2 failed 4 of 8 of its own requests in the last 4 slices of the pause"
    assert (number, why) == (4, named) or number < 6
    unnamed, _why = until(pause(), seen(1, 98, errors={"HTTP 500": 1}), few)
    assert number < unnamed


def test_what_was_lost_before_may_be_lost_now() -> None:
    found = seen(24, 74, errors={"timeout": 2})
    assert until(pause(min_success=0.98), found) == (HOUR, "")
    assert until(pause(), found)[0] < 10


def test_slow_answers_of_the_canary_end_it_where_stable_is_faster_in_the_same_minutes() -> None:
    slow = seen(slow_by={"2": 3, "1": 0})
    number, why = until(pause(max_p99=0.5), slow)
    assert number < 12
    assert "2 took more than 0.5 s for " in why
    assert why.endswith("where 1% may, and 1 is faster")
    assert until(pause(), slow) == (HOUR, "")
    assert until(pause(max_p99=0.5), seen(slow_by={"2": 3, "1": 9})) == (
        HOUR,
        "",
    )  # the cluster is slow, not the canary
    assert until(pause(max_p99=0.5), seen(slow_by={"1": 9})) == (HOUR, "")
