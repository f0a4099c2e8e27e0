"""Whether another look at the traffic can come out otherwise."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._proof._settling import (
    SETTLED,
    answers,
    part,
    route,
    shares,
)


@pytest.mark.parametrize(
    ("result", "failed", "attempt", "settled"),
    [
        ({"verdict": "pass"}, False, 1, True),
        ({"errors": {}, "too_slow": False}, True, 1, False),
        ({"errors": {}, "too_slow": False}, True, 31, False),
        ({"errors": {"HTTP 500": 1}, "losing": True}, True, 1, True),
        ({"errors": {"HTTP 500": 1}, "losing": False}, True, 1, False),  # as many as may be lost
        ({"verdict": "inconclusive"}, False, 1, False),
        ({"verdict": "inconclusive"}, False, 2, True),
        ({"errors": {}, "slow_looks": 2}, True, 2, False),
        ({"errors": {}, "slow_looks": 1}, True, 3, False),  # the other two failed for their shares
        ({"errors": {}, "slow_looks": 3}, True, 3, True),
        ({}, True, 3, False),  # the API server could not be reached
    ],
)
def test_shares_may_follow_but_not_what_failed_or_was_too_slow_three_times(
    result: dict[str, t.Any], failed: bool, attempt: int, settled: bool
) -> None:
    assert shares(result, failed, attempt) is settled


@pytest.mark.parametrize(
    ("result", "failed", "attempt", "settled"),
    [
        ({"verdict": "pass"}, False, 1, True),
        ({"errors": {}, "counts": {"1.0.0": 20}}, True, 1, True),  # a wrong version stays wrong
        ({"errors": {"HTTP 503": 20}, "counts": {}}, True, 30, False),  # no endpoint yet
        ({"errors": {"HTTP 500": 20}, "counts": {}}, True, 2, False),
        ({"errors": {"HTTP 500": 20}, "counts": {}}, True, 3, True),
        ({"errors": {"HTTP 503": 1}, "counts": {"2.0.0": 19}}, True, 2, False),
        ({"errors": {"HTTP 503": 1}, "counts": {"2.0.0": 19}}, True, 3, True),
    ],
)
def test_what_takes_no_traffic_yet_may_begin_to_answer(
    result: dict[str, t.Any], failed: bool, attempt: int, settled: bool
) -> None:
    assert answers(result, failed, attempt) is settled


@pytest.mark.parametrize(("verdict", "settled"), [("pass", True), ("fail", False), ("inconclusive", False)])
def test_what_was_taken_back_is_looked_at_until_it_passes(verdict: str, settled: bool) -> None:
    assert SETTLED["verdict"]({"verdict": verdict}, False, 1) is settled


@pytest.mark.parametrize("looks", [1, 2, 11, 31])
def test_what_loses_requests_has_no_more_chances_to_pass_in_several_looks_than_in_one(looks: int) -> None:
    parts = [part("verdict", attempt, looks) for attempt in range(1, looks + 1)]
    assert sum(parts) == pytest.approx(1)
    assert min(parts) > 0


@pytest.mark.parametrize(
    ("result", "failed", "attempt", "settled"),
    [
        ({"verdict": "pass"}, False, 1, True),
        ({"errors": {}, "counts": {"1.0.0": 20}}, True, 1, False),  # gateways have yet to take the route over
        ({"errors": {"HTTP 503": 20}, "counts": {}}, True, 3, False),
        ({"errors": {"HTTP 500": 20}, "counts": {}}, True, 3, True),
    ],
)
def test_a_route_of_some_requests_may_be_taken_over_later(
    result: dict[str, t.Any], failed: bool, attempt: int, settled: bool
) -> None:
    assert route(result, failed, attempt) is settled


@pytest.mark.parametrize("settles", ["shares", "answers"])
def test_a_look_that_is_the_last_one_where_it_is_losing_requests_has_the_whole_chance(settles: str) -> None:
    assert part(settles, 1, 31) == part(settles, 7, 31) == 1
