"""The statistics, against SciPy and against values worked out by hand."""

from __future__ import annotations

import functools
import math
import typing as t
from random import Random

import pytest
import scipy
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _statistics
from ansible_collections.convoy.rollout.plugins.module_utils._proof._sequential import (
    alternatives,
    edges,
    interval,
    log_mixture,
    log_ratio,
    share,
)
from ansible_collections.convoy.rollout.plugins.module_utils._proof._sequential import verdict as outcome
from ansible_collections.convoy.rollout.plugins.module_utils._proof._statistics import (
    Standard,
    guards,
    missing,
    needed,
    percent,
    percentile,
    tolerated,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def judge(counts: dict[str, int], total: int, standard: Standard, **seen: t.Any) -> tuple[str, str]:
    """The verdict, and why in words."""
    verdict, why = _statistics.judge(counts, total, standard, **seen)
    return verdict, why()


@pytest.mark.parametrize(("part", "value"), [(0.0, 1), (0.2, 1), (0.21, 2), (0.5, 3), (0.95, 5), (1.0, 5)])
def test_percentiles_are_values_that_were_seen(part: float, value: int) -> None:
    assert percentile([5, 3, 1, 2, 4], part) == value


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
        "hello answers 100% of 200 requests with a version (99% confidence: 100% at most), expected 99% or more: "
        "too few samples to tell",
    )
    assert (verdict(197)[0], verdict(226, 226)[0], verdict(497, 500)[0]) == ("inconclusive", "pass", "pass")
    assert verdict(180) == (
        "fail",
        "hello answers 90% of 200 requests with a version (99% confidence: 96% at most), expected 99% or more",
    )


@pytest.mark.parametrize(
    ("answered", "total", "verdict"),
    [
        (457, 457, "inconclusive"),
        (458, 458, "pass"),
        (9999, 10_000, "pass"),  # one lost request in 10,000
        (9990, 10_000, "pass"),
        (9890, 10_000, "fail"),  # 1 point more than may be
        (0, 2, "fail"),
        (19, 20, "inconclusive"),
    ],
)
def test_a_service_that_loses_a_request_in_a_thousand_is_healthy(answered: int, total: int, verdict: str) -> None:
    assert judge({"1": answered}, total, Standard({"1": 1.0}, min_success=0.999, looks=31))[0] == verdict


def test_the_message_says_what_a_person_would() -> None:
    verdict, why = judge({"2": 98, "1": 102}, 200, Standard({"2": 0.25, "1": 0.75}, name="hello"))
    assert (verdict, why) == (
        "fail",
        "hello 2 answers 49% of 200 requests (99% confidence: 36 to 62%), expected 25 ± 10",
    )


@pytest.mark.parametrize(
    ("share", "beside", "text"),
    [
        (0.9990, 0.9995, "99.9"),
        (0.99949, 0.9995, "99.949"),
        (0.9995, 0.9995, "99.95"),
        (1.0, 0.9995, "100"),
        (0.0, 0.005, "0"),
        (0.001, 0.01, "0.1"),
        (0.49, 0.25, "49"),
        (0.2504, 0.25, "25.04"),
        (0.000_123_4, 0.01, "0.012"),
    ],
)
def test_a_number_that_fails_does_not_read_like_the_one_that_is_wanted(share: float, beside: float, text: str) -> None:
    assert percent(share, beside) == text


@given(st.floats(0, 1), st.floats(0, 1))
def test_numbers_that_are_further_apart_than_a_millionth_read_differently(share: float, beside: float) -> None:
    if abs(share - beside) > 1e-6:
        assert percent(share, beside) != f"{beside * 100:.7f}".rstrip("0").rstrip(".")


@pytest.mark.parametrize(
    ("confidence", "sure"),
    [(0.9, "90%"), (0.99, "99%"), (0.999, "99.9%"), (1 - 0.01 / 11, "99.9%"), (0.99999, "99.99%")],
)
def test_it_is_said_no_surer_than_it_is_and_in_few_digits(confidence: float, sure: str) -> None:
    standard = Standard({"2": 0.5, "1": 0.5}, confidence=confidence)
    assert f"({sure} confidence: " in judge({"2": 5, "1": 95}, 100, standard)[1]


def test_a_version_that_never_answers_is_told() -> None:
    assert guards({"1": 17}, {"1": 0.75, "2": 0.25}) == [
        "2 answered none of 17 requests; a share of 25% would have shown itself with a probability of 99.25%"
    ]


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.02, 0.98), st.floats(0.01, 0.3))
@settings(max_examples=150)
def test_a_share_fails_beyond_the_tolerance_only_and_passes_within_it_only(
    count: int, others: int, expected: float, tolerance: float
) -> None:
    total = max(1, count + others)
    low, high = edges(expected, tolerance)
    said = share(count, total, expected, tolerance, 0.01, 0.01)
    assert 0 < low < expected < high < 1
    if low <= count / total <= high:
        assert said != "fail"
    elif not expected - tolerance < count / total < expected + tolerance:
        assert said != "pass"


def test_evidence_by_hand() -> None:
    # Nobody seen in n at 25 %: 0.6 (0.85 / 0.75)^n + 0.4 (1 / 0.75)^n, as 25 points below is the end already.
    assert math.exp(log_mixture(0, 20, 0.25, 0.1, -1)) == pytest.approx(0.6 * (0.85 / 0.75) ** 20 + 0.4 / 0.75**20)
    assert log_ratio(3, 10, 0.35, 0.25) == pytest.approx(
        scipy.stats.binom.logpmf(3, 10, 0.35) - scipy.stats.binom.logpmf(3, 10, 0.25)
    )
    assert next(n for n in range(1, 99) if outcome(n, n, 1.0, 0.1, 0.01, 0.01) == "pass") == 44


@pytest.mark.parametrize(
    ("true", "wrong"), [(0.25, "fail"), (0.15, "pass"), (0.35, "pass"), (0.05, "pass"), (0.5, "pass"), (0.0, "pass")]
)
def test_neither_error_is_made_more_often_than_was_stated(true: float, wrong: str) -> None:
    random, errors, runs = Random(1), 0, 1000
    said = functools.cache(lambda count, total: outcome(count, total, 0.25, 0.1, 0.01, 0.01))  # runs meet again
    for _run in range(runs):
        count, total, found = 0, 0, "more"
        while found == "more":
            count, total = count + (random.random() < true), total + 1
            found = said(count, total)
        errors += found == wrong
    # One run in a million of a test whose error is exactly 1 % has more errors than this.
    assert errors <= scipy.stats.binom.isf(1e-6, runs, 0.01)


def wandering(random: Random, _number: int) -> float:
    """A share that goes about within 25 ± 10, at its edges most of the time."""
    return random.choice([0.1500001, 0.3499999])


@pytest.mark.parametrize("true", [0.1500001, 0.25, 0.3499999, wandering])
def test_no_share_within_the_tolerance_is_failed_more_often_than_was_stated(true: t.Any) -> None:
    random, errors, runs, standard = Random(7), 0, 150, Standard({"2": 0.25, "1": 0.75}, confidence=0.9)
    said = functools.cache(lambda count, total: share(count, total, 0.25, 0.1, standard.alpha, standard.beta))
    for _run in range(runs):
        count = 0
        for total in range(1, 600):
            count += random.random() < (true(random, total) if callable(true) else true)
            if said(count, total) == "fail":
                errors += 1
                break
    assert errors <= scipy.stats.binom.isf(1e-6, runs, 0.1)


def test_answers_that_depend_on_each_other_count_for_what_they_are_worth() -> None:
    half = Standard({"1": 0.5, "2": 0.5})
    random = Random(3)
    single = [random.choice("12") for _answer in range(500)]
    counts = {"1": single.count("1"), "2": single.count("2")}
    assert judge(counts, 500, half, order=single)[0] == "pass"
    kept = sorted(single)
    verdict, why = judge(counts, 500, half, order=kept)
    assert verdict == "inconclusive"
    assert "count as about 1 independent ones, too few to tell: a proxy may keep its connections" in why
    uneven = ["1"] * 90 + ["2"] * 10
    assert judge({"1": 90, "2": 10}, 100, half, order=uneven)[0] == "inconclusive"
    assert judge({"1": 90, "2": 10}, 101, half, order=uneven)[0] == "fail"  # one was lost


def test_no_share_fails_before_a_proxy_can_have_gone_round() -> None:
    canary = Standard({"2": 0.25, "1": 0.75})
    assert judge({"1": 99}, 99, canary)[0] == "inconclusive"
    assert judge({"1": 100}, 100, canary)[0] == "fail"
    assert judge({"1": 30}, 30, canary, fixed=True)[0] == "inconclusive"
    assert judge({"1": 60}, 60, canary, fixed=True)[0] == "fail"


@pytest.mark.parametrize(("weight", "room"), [(0.01, 0.005), (0.05, 0.025), (0.25, 0.1), (0.9, 0.05)])
def test_the_tolerance_follows_the_weight(weight: float, room: float) -> None:
    assert tolerated(weight, None) == pytest.approx(room)
    assert tolerated(weight, 0.03) == 0.03
    # As many as are said to be enough do pass, if they come as expected.
    standard = Standard({"2": weight, "1": 1 - weight})
    enough = needed(standard)
    count = round(weight * enough)
    assert judge({"2": count, "1": enough - count}, enough, standard)[0] == "pass"
    # The double of a small one, and none of it, are found with as many.
    if weight < 0.1:
        assert judge({"2": 2 * count, "1": enough - 2 * count}, enough, standard)[0] == "fail"
        assert judge({"1": enough}, enough, standard)[0] == "fail"


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
        return judge({"1": total}, total, Standard({"1": 1.0}, max_p99=0.5, name="hello"), slow={"1": slow})

    assert verdict(1, 100)[0] == "inconclusive"
    assert (verdict(0, 111)[0], verdict(0, 112)[0]) == ("inconclusive", "pass")
    assert verdict(1, 200)[0] == "pass"
    assert judge({"1": 20}, 20, Standard({"1": 1.0}, max_p99=0.5), slow={"1": 1}, fixed=True)[0] == "pass"
    assert verdict(10, 100) == ("fail", "hello took more than 0.5 s for 10 of 100 answers, where 1% may")


def test_a_canary_that_is_slow_is_found_among_the_answers_of_a_fast_stable() -> None:
    counts, both = {"1": 750, "2": 250}, Standard({"1": 0.75, "2": 0.25}, max_p99=0.5, name="hello")
    assert judge(counts, 1000, both, slow={"1": 2, "2": 1})[0] == "pass"
    said = "hello 2 took more than 0.5 s for 13 of 250 answers, where 1% may"
    assert judge(counts, 1000, both, slow={"1": 0, "2": 13}) == ("fail", said)


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
            math.log(weight)
            + scipy.stats.binom.logpmf(count, total, share)
            - scipy.stats.binom.logpmf(count, total, null)
            for share, weight in alternatives(null, tolerance, side)
        ]
        known = scipy.special.logsumexp([term for term in terms if math.isfinite(term)] or [-math.inf])
        assert log_mixture(count, total, null, tolerance, side) == pytest.approx(known, abs=1e-6)


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=60)
def test_an_interval_holds_the_share_and_is_that_of_the_other_answers_turned_round(count: int, others: int) -> None:
    total = count + others
    low, high = interval(count, total, 0.01)
    assert 0 <= low <= count / max(1, total) <= high <= 1 or not total
    turned = interval(others, total, 0.01)
    assert (1 - turned[1], 1 - turned[0]) == pytest.approx((low, high), abs=1e-6)
    for edge in (low, high):
        if 0 < edge < 1:  # by SciPy
            evidence = scipy.special.betaln(1 + count, 1 + others) - scipy.special.xlogy(count, edge)
            assert evidence - scipy.special.xlog1py(others, -edge) == pytest.approx(math.log(100), abs=1e-6)
