# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A share that is judged while samples come in, valid at every look. Pure functions of counts.

The hypothesis is that a share is exactly p0. Against it stand alternatives q_k that are `tolerance` or
more away, on each side a weighted mixture of likelihood ratios L(q) = (q/p0)^x ((1-q)/(1-p0))^(n-x):

    fails  where the mixture of one side reaches 2 / alpha,
    passes where the ratio of the nearest alternative of each side is down to beta.

A mixture of likelihood ratios is a martingale under p0, and the inverse of a ratio is one under its
alternative, so by Ville's inequality (J. Ville, 1939; A. Wald, Sequential Analysis, 1947) a share of
exactly p0 ever fails with a probability of at most alpha, and one that is `tolerance` or more away ever
passes with one of at most beta, however often one looks and whenever one stops. Between the two, either
verdict may come.
"""

from __future__ import annotations

import functools
import math
import typing as t

Outcome = t.Literal["pass", "fail", "more"]

#: Weights of the alternatives of a side: at the tolerance, farther out, and at the end. Chosen by simulation.
WEIGHTS = (0.6, 0.3, 0.1)
FARTHER = 2.5  #: how many tolerances away the second one is


def gain(share: float, null: float) -> float:
    """The logarithm of how much likelier something is at `share` than at `null`."""
    if share <= 0:
        return -math.inf
    return math.log(share / null) if null > 0 else math.inf


def _together(count: int, others: int, by_one: float, by_other: float) -> float:
    value = count * by_one if count else 0.0
    return value + others * by_other if others and math.isfinite(value) else value


def log_ratio(count: int, total: int, share: float, null: float) -> float:
    """The logarithm of how much likelier `count` of `total` are at `share` than at `null`."""
    return _together(count, total - count, gain(share, null), gain(1 - share, 1 - null))


def alternatives(
    null: float, tolerance: float, side: int, weights: t.Sequence[float] = WEIGHTS, farther: float = FARTHER
) -> list[tuple[float, float]]:
    """The shares on one side (-1 below, 1 above) and their weights, those that are the same together."""
    found: dict[float, float] = {}
    for steps, weight in zip((1.0, farther, math.inf), weights, strict=True):
        share = min(1.0, max(0.0, null + side * (steps * tolerance if steps < math.inf else 1.0)))
        found[share] = found.get(share, 0.0) + weight
    return [(share, weight) for share, weight in found.items() if share != null and weight]


@functools.lru_cache(maxsize=64)  # asked for after every answer
def _gains(null: float, tolerance: float, side: int) -> tuple[tuple[float, float, float], ...]:
    """For each alternative of a side the logarithm of its weight, and its gains by an answer and by one of others."""
    return tuple(
        (math.log(weight), gain(share, null), gain(1 - share, 1 - null))
        for share, weight in alternatives(null, tolerance, side)
    )


def log_mixture(count: int, total: int, null: float, tolerance: float, side: int) -> float:
    """The logarithm of the evidence against `null` on one side; -inf where no share is on that side."""
    others = total - count
    terms = [weight + _together(count, others, *gains) for weight, *gains in _gains(null, tolerance, side)]
    most = max(terms, default=-math.inf)
    if math.isinf(most):
        return most
    return most + math.log(sum(math.exp(term - most) for term in terms))


def verdict(
    count: int,
    total: int,
    null: float,
    tolerance: float,
    alpha: float,
    beta: float,
    sides: t.Sequence[int] = (-1, 1),
) -> Outcome:
    """pass, fail, or more where the counts do not settle it yet; judged on those sides of `null`."""
    limit, least = math.log(len(sides) / alpha), math.log(beta)
    passes = True
    for side in sides:
        ratios = [_together(count, total - count, *gains) for _weight, *gains in _gains(null, tolerance, side)]
        # No mixture is above the greatest of its ratios.
        if ratios and max(ratios) >= limit and log_mixture(count, total, null, tolerance, side) >= limit:
            return "fail"
        passes = passes and all(ratio <= least for ratio in ratios[:1])
    return "pass" if passes else "more"


def interval(count: int, total: int, tolerance: float, alpha: float) -> tuple[float, float]:
    """The shares that would not have failed on either side, as a confidence sequence.

    It holds the true share with at least the probability 1 - alpha, at every look at once.
    """
    seen = count / total if total else 0.0
    limit = math.log(2 / alpha)

    def edge(end: float, side: int) -> float:
        inside, outside = seen, end
        if total == 0 or log_mixture(count, total, end, tolerance, side) < limit:
            return end
        for _step in range(50):
            middle = (inside + outside) / 2
            if log_mixture(count, total, middle, tolerance, side) < limit:
                inside = middle
            else:
                outside = middle
        return outside

    return edge(0.0, 1), edge(1.0, -1)
