# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a sample of requests says about the shares of the versions behind it. Pure functions."""

from __future__ import annotations

import math
import typing as t

Verdict = t.Literal["pass", "fail", "inconclusive"]


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (Lentz's method).

    The fraction is 8.17.22 of the NIST Digital Library of Mathematical Functions.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below the mean only
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d, value = 1.0, 0.0, 1.0
    for step in range(1000):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = half * (b - half) * x / ((a + step - 1) * (a + step))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + step - 1) * (a + step))
        d = 1 / ((1 + term * d) or tiny)
        c = (1 + term / c) or tiny
        value *= c * d
        if abs(1 - c * d) < 1e-15:
            break
    return min(1.0, front * (value - 1))


def _beta_quantile(p: float, a: float, b: float) -> float:
    """Where I_x(a, b) reaches p, by bisection to the last bit that counts."""
    low, high = 0.0, 1.0
    for _step in range(80):
        middle = (low + high) / 2
        if beta_cdf(middle, a, b) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def clopper_pearson(count: int, total: int, confidence: float) -> tuple[float, float]:
    """The exact interval of a share (0..1) of which `count` of `total` samples were seen.

    It holds the true share with at least the probability `confidence`; no samples say nothing: (0, 1).
    Its ends are quantiles of beta distributions (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934).
    """
    if total <= 0:
        return (0.0, 1.0)
    alpha = 1 - confidence
    low = 0.0 if count == 0 else _beta_quantile(alpha / 2, count, total - count + 1)
    high = 1.0 if count == total else _beta_quantile(1 - alpha / 2, count + 1, total - count)
    return (low, high)


def percentile(values: t.Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile (share 0..1) of values, None where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def judge(
    counts: t.Mapping[str, int],
    total: int,
    expected: t.Mapping[str, float],
    *,
    tolerance: float,
    confidence: float,
    min_success: float,
) -> tuple[Verdict, str]:
    """Whether samples agree with the expected shares, and why, in words.

    `counts` are answers by version, `total` all requests, lost ones too. Every share is of all
    requests. A version that is expected to have all answers or none must have exactly that: one
    answer of another version refutes it. Another passes while its whole interval is within
    `tolerance` of what is expected, and fails once the interval is wholly outside; between, the
    samples do not settle it. Without expected shares only the share of answers counts, against
    `min_success`.

    Several versions are judged at once, so each gets an equal part of the doubt (Bonferroni): a
    true split is failed with a probability of 1 - `confidence` at most, however many versions it has.
    """
    answered = sum(counts.values())
    if total == 0:
        return "inconclusive", "no request was made"
    if answered < min_success * total - 1e-9:
        return "fail", f"{total - answered} of {total} requests got no answer that names a version"
    if not expected:
        return "pass", ""
    judged = sum(0 < share < 1 for share in expected.values())
    unsettled = ""
    for version in sorted(set(expected) | set(counts)):
        wanted, seen = expected.get(version, 0.0), counts.get(version, 0)
        if wanted in (0.0, 1.0):
            if seen != (answered if wanted else 0):
                others = "; no other version may answer" if wanted else ""
                return "fail", f"{version} answers {seen} of {total} requests, expected {wanted:.0%}{others}"
            continue
        low, high = clopper_pearson(seen, total, 1 - (1 - confidence) / judged)
        said = (
            f"{version} answers {seen / total:.0%} of {total} requests ({confidence * 100:g}% sure: "
            f"{low * 100:.0f} to {high:.0%}), expected {wanted * 100:g} +- {tolerance * 100:g}%"
        )
        if high < wanted - tolerance or low > wanted + tolerance:
            return "fail", said
        if low < wanted - tolerance or high > wanted + tolerance:
            unsettled = f"{said}: too few samples to tell"
    return ("inconclusive", unsettled) if unsettled else ("pass", "")
