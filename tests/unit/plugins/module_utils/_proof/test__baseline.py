"""How a change can be verified, by what users get before it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline
from ansible_collections.convoy.rollout.plugins.module_utils._proof._statistics import Standard, judge
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import UNNAMED


@pytest.mark.parametrize(
    ("counts", "running", "by"),
    [
        ({"1.0.0": 5}, ["1.0.0"], "versions"),
        ({"1.0.0": 3, "2.0.0": 2}, ["2.0.0"], "versions"),
        ({"1.0.0": 5}, ["v1.0.0"], "requests"),  # it names something else than the pods' version
        ({"anything": 5}, None, "versions"),
        ({UNNAMED: 5}, ["1.0.0"], "requests"),
        ({UNNAMED: 5}, None, "requests"),
        ({}, ["1.0.0"], "nothing"),
    ],
)
def test_what_answers_before_can_be_verified_after(counts: dict[str, int], running: list[str] | None, by: str) -> None:
    assert _baseline.by(counts, running) == by


@pytest.mark.parametrize(
    ("errors", "down", "comes_back"),
    [
        ({"HTTP 503": 5}, True, True),
        ({"HTTP 500": 3, "HTTP 503": 2}, True, True),
        ({"connection refused": 5}, False, True),
        ({"timeout": 4, "HTTP 503": 1}, False, True),
        ({"HTTP 404": 5}, False, False),
        ({"certificate not trusted (self-signed certificate)": 5}, False, False),
        ({}, False, False),
    ],
)
def test_an_application_that_is_down_is_told_from_a_wrong_entry(
    errors: dict[str, int], down: bool, comes_back: bool
) -> None:
    assert (_baseline.is_down(errors), _baseline.may_come_back(errors)) == (down, comes_back)


def test_how_answers_are_judged_is_no_place() -> None:
    assert _baseline.names_a_place({"service": "frontend"})
    assert not _baseline.names_a_place({"max_p99": 0.5, "version_from": {"header": "x"}, "service": None})


@pytest.mark.parametrize(
    ("samples", "lost", "share"),
    [(500, 0, 0.999), (500, 5, 0.979), (500, 50, 0.874), (5, 5, 0.0), (0, 0, 0.999), (100_000, 10, 0.999)],
)
def test_what_was_lost_before_may_be_lost_after(samples: int, lost: int, share: float) -> None:
    baseline = {"samples": samples, "errors": {"timeout": lost} if lost else {}}
    assert _baseline.least(0.999, baseline) == pytest.approx(share, abs=0.001)
    assert _baseline.least(0.999, None) == 0.999


@pytest.mark.parametrize("loses", [0.001, 0.003, 0.005, 0.01, 0.02, 0.1])
def test_a_service_that_loses_as_many_as_before_is_rarely_taken_back(loses: float) -> None:
    random, runs, back = Random(4), 300, 0
    standard = Standard({"2": 1.0}, min_success=0.999, family=2)
    for _run in range(runs):
        lost = sum(random.random() < loses for _request in range(500))
        judged = replace(standard, min_success=_baseline.least(0.999, {"samples": 500, "errors": {"timeout": lost}}))
        answered = 0
        for total in range(1, 1001):
            answered += random.random() >= loses
            if (said := judge({"2": answered}, total, judged)[0]) != "inconclusive":
                back += said == "fail"
                break
    assert back / runs < 0.03
