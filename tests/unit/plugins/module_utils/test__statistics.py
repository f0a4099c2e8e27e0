"""The statistics, against SciPy and against values worked out by hand."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._statistics import (
    beta_cdf,
    clopper_pearson,
    judge,
    percentile,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

SURE = {"tolerance": 0.1, "confidence": 0.99, "min_success": 1.0}


@given(
    st.floats(0, 1),
    st.floats(0.5, 2000),
    st.floats(0.5, 2000),
)
@settings(max_examples=300, deadline=None)
def test_the_incomplete_beta_function_is_scipys(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-12)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.9999))
@settings(max_examples=150, deadline=None)
def test_intervals_are_scipys_exact_ones(sample: tuple[int, int], confidence: float) -> None:
    count, total = sample
    exact = stats.binomtest(count, total).proportion_ci(confidence, method="exact")
    assert clopper_pearson(count, total, confidence) == pytest.approx((exact.low, exact.high), abs=1e-8)


def test_intervals_at_the_ends_by_hand() -> None:
    # No success in n: the upper end u solves (1 - u)^n = alpha / 2.
    low, high = clopper_pearson(0, 10, 0.95)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 10))
    assert clopper_pearson(10, 10, 0.95) == (pytest.approx(1 - high), 1.0)
    assert clopper_pearson(0, 0, 0.95) == (0.0, 1.0)


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
        ({"1": 7}, 7, {}, "pass"),
        ({"1": 6}, 7, {}, "fail"),
        ({}, 0, {}, "inconclusive"),
    ],
)
def test_verdicts(counts: dict[str, int], total: int, expected: dict[str, float], verdict: str) -> None:
    assert judge(counts, total, expected, **SURE)[0] == verdict


def test_a_share_of_errors_that_is_allowed_passes_at_its_very_edge() -> None:
    def verdict(answered: int) -> str:
        # 0.55 * 100 is a little more than 55 in binary.
        how = {"tolerance": 0.1, "confidence": 0.99, "min_success": 0.55}
        return judge({"1": answered}, 100, {"1": 1.0}, **how)[0]

    assert (verdict(55), verdict(54)) == ("pass", "fail")


def test_the_message_says_what_a_person_would() -> None:
    low, high = stats.binomtest(66, 134).proportion_ci(0.995, method="exact")
    verdict, why = judge({"2": 66, "1": 68}, 134, {"2": 0.25, "1": 0.75}, **SURE)
    assert verdict == "fail"
    low, high = stats.binomtest(68, 134).proportion_ci(0.995, method="exact")
    assert why == (
        f"1 answers 51% of 134 requests (99% sure: {low * 100:.0f} to {high * 100:.0f}%), expected 75 +- 10%"
    )


def test_versions_judged_together_share_the_doubt() -> None:
    # Two versions that are judged: the interval of each is the one of 99.5 %, wider than that of 99 %.
    total = next(
        n
        for n in range(100, 1000, 2)
        if clopper_pearson(n // 2, n, 0.99)[1] <= 0.6 < clopper_pearson(n // 2, n, 0.995)[1]
    )
    counts = {"1": total // 2, "2": total // 2}
    assert judge(counts, total, {"1": 0.5, "2": 0.5}, **SURE)[0] == "inconclusive"


@given(st.integers(1, 300), st.integers(0, 300), st.floats(0.05, 0.95))
@settings(max_examples=100, deadline=None)
def test_pass_and_fail_agree_with_the_interval(first: int, second: int, share: float) -> None:
    total = first + second
    verdict, _why = judge({"a": first, "b": second}, total, {"a": share, "b": 1 - share}, **SURE)
    if abs(first / total - share) > 0.1 and verdict == "pass":
        pytest.fail("passed with a share outside of the tolerance")
    if abs(first / total - share) <= 0.1 and verdict == "fail":
        pytest.fail("failed with a share inside of the tolerance")
