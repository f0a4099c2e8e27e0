"""Sequential tests as boundaries over counts, and what becomes of simulated answers between them."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Sequence

import numpy as np
import scipy
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _sequential
from ansible_collections.convoy.rollout.plugins.module_utils._proof._statistics import LEAST

Array = t.Any  #: an array of NumPy
Counts = Callable[[Array, Array], Array]  #: of `count` of `total`, elementwise

RISK = 0.01  #: alpha and beta, 1 - confidence
LOOKS = (10, 1000)  #: the naive test looks every so many samples, and so many at most
BLOCK = 250  #: samples that are drawn at a time


class Case(t.NamedTuple):
    """An expected share with its tolerance, the true shares it is held against, and when to give up."""

    expected: float
    tolerance: float
    shares: tuple[float, ...]
    horizon: int  #: samples


class Boundaries(t.NamedTuple):
    """Which counts end a test, by the number of samples n (index 0 is n = 1)."""

    fail_low: Array  #: fails at this count or fewer, -1 for never
    fail_high: Array  #: fails at this count or more
    pass_low: Array  #: passes from this count
    pass_high: Array  #: to this one

    def outcomes(self, count: Array, start: int) -> tuple[Array, Array]:
        """Whether it fails and passes at counts of which the last axis is n = start + 1, start + 2, ..."""
        here = slice(start, start + count.shape[-1])
        fails = (count <= self.fail_low[here]) | (count >= self.fail_high[here])
        return fails, ~fails & (count >= self.pass_low[here]) & (count <= self.pass_high[here])


class Result(t.NamedTuple):
    """What a test did in each run; `samples` of a run that was not settled are the horizon."""

    failed: Array
    passed: Array
    samples: Array


def first(true_from: Counts, total: Array) -> Array:
    """The smallest count for which `true_from`, which stays true once it is, holds; total + 1 for none."""
    low, high = np.zeros_like(total), total + 1
    while (low < high).any():
        middle = (low + high) // 2
        held = true_from(np.minimum(middle, total), total) & (middle <= total)
        searching = low < high
        high = np.where(searching & held, middle, high)
        low = np.where(searching & ~held, middle + 1, low)
    return low


def log_ratio(share: float, null: float) -> Counts:
    """What _sequential.log_ratio says, of many counts at once."""
    by_one, by_other = _sequential.gain(share, null), _sequential.gain(1 - share, 1 - null)

    def ratio(count: Array, total: Array) -> Array:
        with np.errstate(invalid="ignore"):  # of nothing times infinity, which is not taken
            ones = np.where(count > 0, count * by_one, 0.0)
            others = np.where(total > count, (total - count) * by_other, 0.0)
            return np.where(np.isinf(ones), ones, ones + others)

    return ratio


def sequential(
    case: Case,
    horizon: int,
    *,
    alpha: float = RISK,
    beta: float = RISK,
    sides: Sequence[int] = (-1, 1),
    weights: Sequence[float] = _sequential.WEIGHTS,
    farther: float = _sequential.FARTHER,
) -> Boundaries:
    """The boundaries of _sequential.verdict, as of lost requests, or with other weights: 1, 0, 0 is the SPRT pair."""
    null, total = case.expected, np.arange(1, horizon + 1, dtype=np.int32)
    limit = np.log(len(sides) / alpha)

    def against(side: int) -> tuple[Counts, Counts]:
        """The mixture of a side, and the ratio of its nearest alternative."""
        known = [
            (np.log(weight), log_ratio(share, null))
            for share, weight in _sequential.alternatives(null, case.tolerance, side, weights, farther)
        ]

        def mixture(x: Array, n: Array) -> Array:
            return np.logaddexp.reduce([weight + one(x, n) for weight, one in known])

        return mixture, known[0][1]

    fail_low, pass_low = np.full(horizon, -1), np.zeros(horizon, dtype=int)
    fail_high, pass_high = total + 1, total
    if -1 in sides:
        mixture_low, below = against(-1)
        fail_low = first(lambda x, n: mixture_low(x, n) < limit, total) - 1
        pass_low = first(lambda x, n: below(x, n) <= np.log(beta), total)
    if 1 in sides:
        mixture_high, above = against(1)
        fail_high = first(lambda x, n: mixture_high(x, n) >= limit, total)
        pass_high = first(lambda x, n: above(x, n) > np.log(beta), total) - 1
    return Boundaries(fail_low, fail_high, pass_low, pass_high)


def mixture_of(shares: Sequence[float], null: float) -> Counts:
    """The mixture of the ratios of shares, all with the same weight."""
    known = [log_ratio(share, null) for share in shares]

    def mixture(x: Array, n: Array) -> Array:
        return np.logaddexp.reduce([one(x, n) for one in known]) - np.log(len(known))

    return mixture


def own(case: Case, horizon: int, *, alpha: float = RISK, beta: float = RISK, least: int = LEAST) -> Boundaries:
    """The boundaries of the module's own rule: _sequential.share, and no fail before so many answers."""
    expected, total = case.expected, np.arange(1, horizon + 1, dtype=np.int32)
    low, high = _sequential.edges(expected, case.tolerance)
    limit = np.log(2 / alpha)
    above = mixture_of(_sequential.beyond(high, case.tolerance), high)
    below = mixture_of(_sequential.beyond(1 - low, case.tolerance), 1 - low)
    fail_high = first(lambda x, n: (above(x, n) >= limit) & (x > n * high), total)
    others = first(lambda x, n: (below(x, n) >= limit) & (x > n * (1 - low)), total)
    fail_low = np.where(others <= total, total - others, -1)
    passes = sequential(case, horizon, alpha=alpha, beta=beta)
    early = total < least
    return Boundaries(
        np.where(early, -1, fail_low), np.where(early, total + 1, fail_high), passes.pass_low, passes.pass_high
    )


def confidence_sequence(case: Case, horizon: int) -> Boundaries:
    """Of the confidence sequence {p : E(p) < 1 / alpha} of the uniform mixture, inside or outside the band.

    E(p) = B(1 + x, 1 + n - x) / (p^x (1 - p)^(n - x)), from H. Robbins, Annals of Mathematical Statistics
    41, 1970. Passes where the sequence lies within expected ± tolerance, fails where it lies outside.
    """
    low, high = case.expected - case.tolerance, case.expected + case.tolerance
    total = np.arange(1, horizon + 1)

    def excluded(x: Array, n: Array, share: float) -> Array:
        evidence = scipy.special.betaln(1 + x, 1 + n - x) - scipy.special.xlogy(x, share)
        return evidence - scipy.special.xlog1py(n - x, -share) >= -np.log(RISK)

    def beyond(share: float) -> Array:
        return first(lambda x, n: (x > n * share) & excluded(x, n, share), total)

    def short(share: float) -> Array:
        return first(lambda x, n: (x >= n * share) | ~excluded(x, n, share), total) - 1

    return Boundaries(fail_low=short(low), fail_high=beyond(high), pass_low=beyond(low), pass_high=short(high))


def sprt(case: Case, share: float, horizon: int, *, sides: int = 1) -> Boundaries:
    """Wald's test of `expected` against the true share, which only a simulation knows.

    With two `sides` it fails as late as one that has half of alpha left for the other side.
    """
    null, total, side = case.expected, np.arange(1, horizon + 1), 1 if share > case.expected else -1
    ratio = log_ratio(share, null)
    limit, least = np.log(sides * (1 - RISK) / RISK), -np.log((1 - RISK) / RISK)
    never = np.full(horizon, -1)
    if side > 0:
        fails = first(lambda x, n: ratio(x, n) >= limit, total)
        return Boundaries(never, fails, np.zeros(horizon), first(lambda x, n: ratio(x, n) > least, total) - 1)
    fails = first(lambda x, n: ratio(x, n) < limit, total) - 1
    return Boundaries(fails, total + 1, first(lambda x, n: ratio(x, n) <= least, total), total)


def every_look(case: Case, horizon: int) -> Boundaries:
    """Of the naive test: a z-test at 5% every 10 samples, as if each look were the only one."""
    step, most = LOOKS
    total = np.arange(1, horizon + 1)
    away = scipy.stats.norm.isf(0.025) * np.sqrt(total * case.expected * (1 - case.expected))
    looks, last = total % step == 0, total >= most
    return Boundaries(
        fail_low=np.where(looks, np.floor(total * case.expected - away), -1),
        fail_high=np.where(looks, np.ceil(total * case.expected + away), total + 1),
        pass_low=np.where(last, 0, total + 1),
        pass_high=total,
    )


def fixed_size(case: Case, share: float) -> int:
    """The fewest samples with which an exact binomial test tells `expected` from a share, both errors 1%.

    Of the expected share itself: from both ends of the tolerance, with half of alpha for each.
    """
    total = np.arange(1, 20_001)
    both = share == case.expected
    good = np.ones(len(total), dtype=bool)
    alpha = RISK / 2 if both else RISK
    for other in (case.expected - case.tolerance, case.expected + case.tolerance) if both else (share,):
        if other > case.expected:
            limit = scipy.stats.binom.isf(alpha, total, case.expected)  # fails above
            good &= scipy.stats.binom.cdf(limit, total, other) <= RISK
        else:
            limit = scipy.stats.binom.ppf(alpha, total, case.expected)  # fails below
            good &= scipy.stats.binom.sf(limit - 1, total, other) <= RISK
    return int(total[good.argmax()])


def simulate(rules: Sequence[Boundaries], share: float, runs: int, horizon: int, seed: int) -> list[Result]:
    """What each rule makes of the same `runs` sequences of answers, each `share` of the version."""
    generator = np.random.default_rng([seed, round(share * 1e6)])
    results = [Result(np.zeros(runs, bool), np.zeros(runs, bool), np.full(runs, horizon)) for _rule in rules]
    open_runs, count = np.arange(runs), np.zeros(runs, dtype=np.int32)
    for start in range(0, horizon, BLOCK):
        steps = min(BLOCK, horizon - start)
        hits = generator.random((len(open_runs), steps), dtype=np.float32) < share
        counts = count[open_runs, None] + np.cumsum(hits, axis=1, dtype=np.int32)
        count[open_runs] = counts[:, -1]
        unsettled = np.zeros(runs, bool)
        for rule, result in zip(rules, results, strict=True):
            mine = ~(result.failed | result.passed)[open_runs]
            which = open_runs[mine]
            fails, passes = rule.outcomes(counts[mine], start)
            ended = fails | passes
            at = ended.argmax(axis=1)
            rows = np.arange(len(which))
            result.failed[which], result.passed[which] = fails[rows, at], passes[rows, at]
            done = ended[rows, at]
            result.samples[which[done]] = start + at[done] + 1
            unsettled[which[~done]] = True
        open_runs = np.flatnonzero(unsettled)
        if not len(open_runs):
            break
    return results


def promise(case: Case, share: float) -> t.Literal["fail", "pass"] | None:
    """Which verdict has a probability of 1% at most at a true share, if any."""
    if share == case.expected:
        return "fail"
    return "pass" if abs(share - case.expected) >= case.tolerance - 1e-9 else None


def holds(case: Case, share: float, result: Result) -> bool:
    """Whether the promise is not refuted: as many wrong verdicts have a probability of 0.1% or more at 1%."""
    kind = promise(case, share)
    if kind is None:
        return True
    wrong = int((result.failed if kind == "fail" else result.passed).sum())
    return bool(scipy.stats.binom.sf(wrong - 1, len(result.failed), RISK) >= 0.001)
