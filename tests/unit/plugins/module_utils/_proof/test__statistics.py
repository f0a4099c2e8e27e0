"""The statistics, against SciPy and against values worked out by hand."""

from __future__ import annotations

import itertools
import math
import typing as t
from random import Random

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _statistics
from ansible_collections.convoy.rollout.plugins.module_utils._proof._sequential import (
    alternatives,
    interval,
    log_mixture,
    log_ratio,
)
from ansible_collections.convoy.rollout.plugins.module_utils._proof._sequential import verdict as outcome
from ansible_collections.convoy.rollout.plugins.module_utils._proof._statistics import (
    BUNCHED,
    Standard,
    bunched,
    guards,
    missing,
    percentile,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats


def judge(counts: dict[str, int], total: int, standard: Standard, **seen: t.Any) -> tuple[str, str]:
    """The verdict, and why in words."""
    verdict, why = _statistics.judge(counts, total, standard, **seen)
    return verdict, why()


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.2, 1), (0.21, 2), (0.5, 3), (0.95, 5), (1.0, 5)])
def test_percentiles_are_values_that_were_seen(share: float, value: int) -> None:
    assert percentile([5, 3, 1, 2, 4], share) == value


def test_no_values_have_no_percentile() -> None:
    assert percentile([], 0.5) is None


@pytest.mark.parametrize(
    ("counts", "total", "expected", "verdict"),
    [
        ({"2": 100}, 100, {"2": 1.0}, "pass"),
        ({"2": 99, "1": 1}, 100, {"2": 1.0}, "fail"),
        ({"2": 99}, 100, {"2": 1.0}, "fail"),
        ({"2": 100}, 100, {"2": 1.0, "1": 0.0}, "pass"),
        ({"1": 500, "2": 500}, 1000, {"1": 0.5, "2": 0.5}, "pass"),
        ({"1": 50, "2": 50}, 100, {"1": 0.5, "2": 0.5}, "inconclusive"),
        ({"1": 100}, 100, {"1": 0.5, "2": 0.5}, "fail"),
        ({"1": 499, "2": 500, "3": 1}, 1000, {"1": 0.5, "2": 0.5}, "fail"),
        ({"1": 44}, 44, {}, "pass"),
        ({"1": 43}, 43, {}, "inconclusive"),
        ({"1": 6}, 7, {}, "fail"),
        ({}, 0, {}, "inconclusive"),
    ],
)
def test_verdicts(counts: dict[str, int], total: int, expected: dict[str, float], verdict: str) -> None:
    assert judge(counts, total, Standard(expected))[0] == verdict


def test_so_many_samples_and_no_more_pass_if_none_of_them_objects() -> None:
    assert judge({"2": 7}, 7, Standard({"2": 1.0}), fixed=True)[0] == "pass"
    assert judge({"2": 7}, 7, Standard({}), fixed=True)[0] == "pass"
    assert judge({"2": 7}, 7, Standard({}, min_success=0.99), fixed=True)[0] == "inconclusive"


def test_lost_requests_are_judged_by_the_same_method() -> None:
    def verdict(answered: int, total: int = 200) -> tuple[str, str]:
        return judge({"1": answered}, total, Standard({"1": 1.0}, min_success=0.99, name="hello"))

    assert verdict(200) == (
        "inconclusive",
        "hello answers 100% of 200 requests with a version (99% sure: 100% at most), expected 99% or more: "
        "too few samples to tell",
    )
    assert (verdict(197)[0], verdict(226, 226)[0], verdict(497, 500)[0]) == ("inconclusive", "pass", "pass")
    assert verdict(180) == (
        "fail",
        "hello answers 90% of 200 requests with a version (99% sure: 96% at most), expected 99% or more",
    )


def test_the_message_says_what_a_person_would() -> None:
    verdict, why = judge({"2": 66, "1": 68}, 134, Standard({"2": 0.25, "1": 0.75}, name="hello"))
    assert (verdict, why) == (
        "fail",
        "hello 2 answers 49% of 134 requests (99% sure: 34 to 64%), expected 25 ± 10",
    )


@pytest.mark.parametrize(
    ("confidence", "sure"),
    [(0.9, "90%"), (0.99, "99%"), (0.999, "99.9%"), (1 - 0.01 / 11, "99.9%"), (0.99999, "99.99%")],
)
def test_it_is_said_no_surer_than_it_is_and_in_few_digits(confidence: float, sure: str) -> None:
    standard = Standard({"2": 0.5, "1": 0.5}, confidence=confidence)
    assert f"({sure} sure: " in judge({"2": 10, "1": 90}, 100, standard)[1]


def test_a_version_that_never_answers_is_told() -> None:
    assert guards({"1": 17}, {"1": 0.75, "2": 0.25}) == [
        "2 answered none of 17 requests; a share of 25% would have shown itself with a probability of 99.25%"
    ]


@given(st.integers(1, 300), st.integers(0, 300), st.floats(0.05, 0.95))
@settings(max_examples=100)
def test_a_failed_share_is_outside_of_its_interval(first: int, second: int, share: float) -> None:
    total = first + second
    low, high = interval(first, total, 0.1, 0.01)
    assert low <= first / total <= high
    verdict, _why = judge({"a": first, "b": second}, total, Standard({"a": share, "b": 1 - share}))
    if min(share, 1 - share) == share:
        assert (verdict == "fail") == (not low - 1e-9 < share < high + 1e-9)


def test_evidence_by_hand() -> None:
    # Nobody seen in n at 25 %: 0.6 (0.85 / 0.75)^n + 0.4 (1 / 0.75)^n, as 25 points below is the end already.
    assert math.exp(log_mixture(0, 20, 0.25, 0.1, -1)) == pytest.approx(0.6 * (0.85 / 0.75) ** 20 + 0.4 / 0.75**20)
    assert log_ratio(3, 10, 0.35, 0.25) == pytest.approx(
        stats.binom.logpmf(3, 10, 0.35) - stats.binom.logpmf(3, 10, 0.25)
    )
    assert next(n for n in range(1, 99) if outcome(n, n, 1.0, 0.1, 0.01, 0.01) == "pass") == 44


@pytest.mark.parametrize(
    ("share", "wrong"), [(0.25, "fail"), (0.15, "pass"), (0.35, "pass"), (0.05, "pass"), (0.5, "pass"), (0.0, "pass")]
)
def test_neither_error_is_made_more_often_than_was_stated(share: float, wrong: str) -> None:
    random, errors, runs = Random(1), 0, 1000
    for _run in range(runs):
        count, total, found = 0, 0, "more"
        while found == "more":
            count, total = count + (random.random() < share), total + 1
            found = outcome(count, total, 0.25, 0.1, 0.01, 0.01)
        errors += found == wrong
    # One run in a million of a test whose error is exactly 1 % has more errors than this.
    assert errors <= stats.binom.isf(1e-6, runs, 0.01)


@pytest.mark.parametrize(("ones", "zeros"), [(1, 1), (3, 4), (5, 2), (4, 4)])
def test_the_runs_test_is_what_counting_every_order_gives(ones: int, zeros: int) -> None:
    def runs(order: tuple[bool, ...]) -> int:
        return len(list(itertools.groupby(order)))

    orders = set(itertools.permutations([True] * ones + [False] * zeros))
    for order in orders:
        few = sum(runs(other) <= runs(order) for other in orders)
        assert bunched(order) == pytest.approx(few / len(orders))


def test_answers_that_follow_each_other_are_not_judged() -> None:
    half = Standard({"1": 0.5, "2": 0.5})
    random = Random(3)
    single = [random.choice("12") for _answer in range(500)]
    counts = {"1": single.count("1"), "2": single.count("2")}
    assert judge(counts, 500, half, order=single)[0] == "pass"
    kept = sorted(single)
    verdict, why = judge(counts, 500, half, order=kept)
    assert verdict == "inconclusive"
    assert "a proxy may keep its connections" in why
    uneven = ["1"] * 90 + ["2"] * 10
    assert judge({"1": 90, "2": 10}, 100, half, order=uneven)[0] == "inconclusive"
    assert judge({"1": 90, "2": 10}, 101, half, order=uneven)[0] == "fail"  # one was lost


def test_single_choices_are_rarely_taken_for_kept_connections_even_where_the_samples_stop_by_themselves() -> None:
    random, alarms, runs = Random(2), 0, 300
    for _run in range(runs):
        order: list[bool] = []
        while len(order) < 1000 and outcome(sum(order), len(order), 0.25, 0.1, 0.01, 0.01) == "more":
            order.append(random.random() < 0.25)
        alarms += bunched(order) < BUNCHED
    assert alarms <= stats.binom.isf(1e-6, runs, BUNCHED)


def test_how_many_more_samples_would_do() -> None:
    counts, canary = {"1": 75, "2": 25}, Standard({"1": 0.75, "2": 0.25})
    more = missing(counts, 100, canary)
    assert more is not None
    total = 100 + more
    scaled = {"1": round(0.75 * total), "2": round(0.25 * total)}
    assert judge(scaled, sum(scaled.values()), canary)[0] == "pass"
    assert judge({"1": 75 + more // 3, "2": 25 + more // 9}, 100 + more // 3 + more // 9, canary)[0] != "pass"
    assert missing({"2": 20}, 20, Standard({"2": 1.0})) == 24
    assert missing({"2": 20}, 20, Standard({"2": 1.0}, min_success=0.99)) == 206


def test_slow_answers_fail_only_where_it_is_sure() -> None:
    def verdict(slow: int, total: int) -> tuple[str, str]:
        return judge({"1": total}, total, Standard({"1": 1.0}, max_p99=0.5, name="hello"), slow=slow)

    assert verdict(1, 100)[0] == "pass"
    assert verdict(10, 100) == ("fail", "hello took more than 0.5 s for 10 of 100 answers, and for 1% it may")


SHARES = st.lists(st.integers(1, 20), min_size=1, max_size=4).map(lambda parts: [part / sum(parts) for part in parts])


@given(SHARES, st.lists(st.integers(0, 200), min_size=4, max_size=4), st.integers(0, 20), st.randoms())
@settings(max_examples=150)
def test_a_verdict_is_one_of_counts_whatever_order_they_are_looked_at_in(
    shares: list[float], seen: list[int], lost: int, random: Random
) -> None:
    expected = {str(number): share for number, share in enumerate(shares)}
    counts = {str(number): count for number, count in enumerate(seen[: len(shares)])}
    total = sum(counts.values()) + lost

    def shuffled(known: dict[str, t.Any]) -> dict[str, t.Any]:
        return dict(random.sample(list(known.items()), len(known)))

    first = judge(counts, total, Standard(expected, min_success=0.9))
    assert judge(shuffled(counts), total, Standard(shuffled(expected), min_success=0.9)) == first


@given(st.integers(0, 400), st.integers(0, 400), st.floats(0.02, 0.98), st.floats(0.01, 0.3))
@settings(max_examples=150)
def test_evidence_is_the_mixture_of_scipys_likelihoods(count: int, others: int, null: float, tolerance: float) -> None:
    total = count + others
    for side in (-1, 1):
        terms = [
            math.log(weight) + stats.binom.logpmf(count, total, share) - stats.binom.logpmf(count, total, null)
            for share, weight in alternatives(null, tolerance, side)
        ]
        known = special.logsumexp([term for term in terms if math.isfinite(term)] or [-math.inf])
        assert log_mixture(count, total, null, tolerance, side) == pytest.approx(known, abs=1e-6)


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.02, 0.3))
@settings(max_examples=60)
def test_an_interval_holds_the_share_and_is_that_of_the_other_answers_turned_round(
    count: int, others: int, tolerance: float
) -> None:
    low, high = interval(count, count + others, tolerance, 0.01)
    assert 0 <= low <= count / max(1, count + others) <= high <= 1 or not count + others
    turned = interval(others, count + others, tolerance, 0.01)
    assert (1 - turned[1], 1 - turned[0]) == pytest.approx((low, high), abs=1e-6)
