# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shares that are judged while samples come in, valid at every look. Pure functions of counts.

`verdict` tests a share of exactly p0 against alternatives q_k that are `tolerance` or more away, on each side a
weighted mixture of likelihood ratios L(q) = (q/p0)^x ((1-q)/(1-p0))^(n-x):

    fails  where the mixture of one side reaches 2 / alpha,
    passes where the ratio of the nearest alternative of each side is down to beta.

A mixture of likelihood ratios is a martingale under p0, and the inverse of a ratio is one under its alternative, so by
Ville's inequality (J. Ville, 1939; A. Wald, Sequential Analysis, 1947) a share of exactly p0 ever fails with a
probability of at most alpha, and one that is `tolerance` or more away ever passes with one of at most beta, however
often one looks and whenever one stops.

`share` asks more of a fail: that the share is off by more than `tolerance`. Its ratios are taken against the near
edge of what is tolerated, L(q) = (q/edge)^x ((1-q)/(1-edge))^(n-x), which are supermartingales under every share on
this side of the edge, also under one that wanders about there (S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon,
Time-uniform, nonparametric, nonasymptotic confidence sequences, Annals of Statistics 49, 2021). So no share within the
tolerance fails with more than alpha, and none beyond it passes with more than beta; of one at the edge it may be that
nothing can be told.
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


def _together(count: float, others: float, by_one: float, by_other: float) -> float:
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
    for steps, weight in zip((1.0, farther, math.inf), weights):
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


def log_mixture(count: float, total: float, null: float, tolerance: float, side: int) -> float:
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


def edges(expected: float, tolerance: float) -> tuple[float, float]:
    """The least and the greatest share that are tolerated in the place of one between 0 and 1.

    None and all of the answers never are, nor what is nearer to them than to what is expected.
    """
    return max(expected - tolerance, expected / 2), min(expected + tolerance, (1 + expected) / 2)


#: Where beyond the edge of the tolerance a wrong share may be, in tolerances; and at the end.
AWAY = (0.5, 1.0, 2.0, 4.0)


@functools.lru_cache(maxsize=64)
def beyond(edge: float, tolerance: float) -> tuple[float, ...]:
    """The shares above an edge that evidence against all below it is gathered for, all with the same weight."""
    return (*(min(1.0, edge + steps * tolerance) for steps in AWAY), 1.0)


@functools.lru_cache(maxsize=64)  # asked for after every answer
def _sides(expected: float, tolerance: float) -> tuple[tuple[bool, float, tuple[tuple[float, float], ...]], ...]:
    """For each side whether it is the upper one, the edge as a share of what is too much, and gains by alternative."""
    low, high = edges(expected, tolerance)
    return tuple(
        (upper, edge, tuple((gain(other, edge), gain(1 - other, 1 - edge)) for other in beyond(edge, tolerance)))
        for upper, edge in ((False, 1 - low), (True, high))
    )


def share(count: float, total: float, expected: float, tolerance: float, alpha: float, beta: float) -> Outcome:
    """pass where a share is within the tolerance, fail where it is beyond it, more where neither is sure."""
    limit, others = math.log(2 / alpha), total - count
    for upper, edge, gains in _sides(expected, tolerance):
        much, rest = (count, others) if upper else (others, count)
        if much <= total * edge:
            continue
        terms = [_together(much, rest, *each) for each in gains]
        most = max(terms)
        if most >= limit and most + math.log(sum(math.exp(term - most) for term in terms) / len(terms)) >= limit:
            return "fail"
    least = math.log(beta)
    nearest = (_gains(expected, tolerance, side)[:1] for side in (-1, 1))
    passes = all(
        _together(count, others, by_one, by_other) <= least for near in nearest for _weight, by_one, by_other in near
    )
    return "pass" if passes else "more"


def plenty(expected: float, tolerance: float, alpha: float, beta: float) -> int:
    """About how many samples it takes in 99 of 100 runs until a share that is as expected passes, and one that is off
    by twice the tolerance, or is nothing or all, fails.
    """
    pairs = [
        (expected, other, -math.log(beta))
        for side in (-1, 1)
        for other, _share in alternatives(expected, tolerance, side)[:1]
    ]
    low, high = edges(expected, tolerance)
    limit = math.log(2 * (len(AWAY) + 1) / alpha)
    pairs += [(max(0.0, expected - 2 * tolerance), low, limit), (min(1.0, expected + 2 * tolerance), high, limit)]
    return math.ceil(max(_first_passage(*pair) for pair in pairs))


def _first_passage(true: float, null: float, height: float) -> float:
    """How many samples it takes in 99 of 100 runs until the ratio of a true share against another one is so high.

    Its logarithm is nearly a Brownian motion with drift, which is first there when the inverse Gaussian distribution
    says.
    """
    by_one, by_other = gain(true, null), gain(1 - true, 1 - null)
    if (math.isinf(by_one) and true > 0) or (math.isinf(by_other) and true < 1):
        return math.log(0.01) / math.log(1 - true if math.isinf(by_one) else true)  # the first answer refutes it
    if true in (0, 1):
        return height / (by_other if true == 0 else by_one)
    drift = true * by_one + (1 - true) * by_other
    spread = abs(by_one - by_other) * math.sqrt(true * (1 - true))
    enough = height / drift
    while _late(enough, drift, spread, height) > 0.01:
        enough *= 1.02
    return enough


def _late(samples: float, drift: float, spread: float, height: float) -> float:
    """The probability that it is not there after so many samples."""
    wide = spread * math.sqrt(2 * samples)
    far = math.erfc((samples * drift - height) / wide) / 2
    return far - math.exp(2 * height * drift / spread**2) * math.erfc((samples * drift + height) / wide) / 2


def interval(count: int, total: int, alpha: float) -> tuple[float, float]:
    """What is known of a share: a confidence sequence, the narrowest of which nothing is expected beforehand.

    It contains the true share with at least the probability 1 - alpha, at every look at once: the shares against which
    the uniform mixture B(1 + x, 1 + n - x) / (p^x (1-p)^(n-x)) is below 1 / alpha (H. Robbins, Annals of Mathematical
    Statistics 41, 1970).
    """
    if not total:
        return 0.0, 1.0
    others, seen = total - count, count / total
    mixture = math.lgamma(1 + count) + math.lgamma(1 + others) - math.lgamma(2 + total) + math.log(alpha)

    def excluded(value: float) -> bool:
        if (value <= 0 and count) or (value >= 1 and others):
            return True
        likelihood = (count * math.log(value) if count else 0.0) + (others * math.log(1 - value) if others else 0.0)
        return mixture >= likelihood

    def edge(end: float) -> float:
        inside, outside = seen, end
        if not excluded(end):
            return end
        for _step in range(50):
            middle = (inside + outside) / 2
            if excluded(middle):
                outside = middle
            else:
                inside = middle
        return outside

    return edge(0.0), edge(1.0)
