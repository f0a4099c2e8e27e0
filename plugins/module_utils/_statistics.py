# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a sample of requests says about the shares of the versions behind it. Pure functions."""

from __future__ import annotations

import itertools
import math
import typing as t
from functools import partial

from ansible_collections.convoy.rollout.plugins.module_utils import _sequential

Verdict = t.Literal["pass", "fail", "inconclusive"]

#: Why it is so, put into words where someone reads them: that takes a hundred times as long as the verdict.
Why = t.Callable[[], str]


def missing(
    counts: t.Mapping[str, int],
    expected: t.Mapping[str, float],
    *,
    tolerance: float,
    confidence: float,
    family: int = 1,
) -> int | None:
    """About how many more answers would settle the shares, if they came as they have so far; None if over 100,000."""
    answered, doubt = sum(counts.values()), 1 - confidence
    fractions = sum(0 < share < 1 for share in expected.values())
    alpha = doubt / family / max(1, fractions - (fractions == 2))

    def settled(total: int) -> bool:
        scaled = {version: round(total * counts.get(version, 0) / max(1, answered)) for version in expected}
        return all(
            _sequential.verdict(scaled[version], total, share, tolerance, alpha, doubt) != "more"
            for version, share in expected.items()
            if share
        )

    most = max(1, answered)
    while not settled(most):
        most *= 2
        if most > 100_000:
            return None
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if settled(middle) else (middle, most)
    return max(0, most - answered)


def percentile(values: t.Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile (share 0..1) of values, None where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def guards(counts: t.Mapping[str, int], expected: t.Mapping[str, float]) -> list[str]:
    """What a person should know beside a verdict: versions that were never seen."""
    total = sum(counts.values())
    return [
        f"{version} answered none of {total} requests; a share of {share * 100:g}% would have shown itself "
        f"with a probability of {(1 - (1 - share) ** total) * 100:.2f}%"
        for version, share in sorted(expected.items())
        if 0 < share < 1 and total and not counts.get(version)
    ]


def bunched(order: t.Sequence[bool]) -> float:
    """The probability of as few runs as in `order`, or fewer, where the same answers come in any order.

    The runs test of A. Wald and J. Wolfowitz, Annals of Mathematical Statistics 11, 1940, one-sided and
    exact. Few runs mean that like answers follow each other, as they do over connections that are kept.
    """
    ones, total = sum(order), len(order)
    zeros = total - ones
    if not ones or not zeros:
        return 1.0
    runs = 1 + sum(one != other for one, other in itertools.pairwise(order))

    def ways(count: int, parts: int) -> float:
        """The logarithm of in how many ways `count` answers make so many runs."""
        if not 1 <= parts <= count:
            return -math.inf
        return math.lgamma(count) - math.lgamma(parts) - math.lgamma(count - parts + 1)

    all_ways = math.lgamma(total + 1) - math.lgamma(ones + 1) - math.lgamma(zeros + 1)
    return min(
        1.0,
        sum(
            math.exp(ways(ones, first) + ways(zeros, number - first) - all_ways)
            for number in range(2, runs + 1)
            for first in (number // 2, number - number // 2)  # the runs begin with either one
        ),
    )


BUNCHED = 0.001  #: a probability of the runs test at which answers do not count as single ones


def judge(
    counts: t.Mapping[str, int],
    total: int,
    expected: t.Mapping[str, float],
    *,
    tolerance: float,
    confidence: float,
    min_success: float,
    family: int = 1,
    name: str = "",
    fixed: bool = False,
    order: t.Sequence[str] = (),
    slow: int = 0,
    max_p99: float | None = None,
) -> tuple[Verdict, Why]:
    """Whether samples agree with the expected shares, and why, in words that begin with `name`.

    `counts` are answers by version, `total` all requests, lost ones too; shares are of the answers. A
    version that is expected to have all answers or none must have exactly that: one answer of another
    version refutes it. Valid at every look, see _sequential: a true split is failed with a probability
    of 1 - `confidence` at most, shared out over what is judged at once and over the `family` of verdicts
    that are wanted together; one that is off by `tolerance` is passed with 1 - `confidence` at most. Where
    the number of samples is `fixed`, a version that had all of them passes, however few they were.

    `order` are the versions that answered, one after the other: where like answers follow each other more
    than single choices would, neither share is judged. `slow` is how many answers took longer than
    `max_p99` seconds, of which one in a hundred may.
    """
    answered, doubt = sum(counts.values()), 1 - confidence
    if total == 0:
        return "inconclusive", lambda: "no request was made"
    fractions = sorted((share, version) for version, share in expected.items() if 0 < share < 1)
    if len(fractions) == 2:
        fractions = fractions[:1]  # the other one says the same
    alpha = doubt / family / max(1, len(fractions) + (0 < min_success < 1) + (max_p99 is not None))
    # At least three times as many requests are lost as may be.
    worse = min(tolerance, 2 * (1 - min_success)) or tolerance
    if min_success and _sequential.log_mixture(answered, total, min_success, worse, -1) >= -math.log(alpha):
        return (
            "fail",
            lambda: (
                f"{total - answered} of {total} requests got no answer that names a version, "
                f"and {min_success * 100:g}% must"
            ),
        )
    named = f"{name} " if name else ""
    # At least three times as many are slow as may be.
    if max_p99 is not None and _sequential.log_mixture(answered - slow, answered, 0.99, 0.02, -1) >= -math.log(alpha):
        return (
            "fail",
            lambda: f"{named}took more than {max_p99:g} s for {slow} of {answered} answers, and for 1% it may",
        )

    def answers(version: str, rest: str) -> str:
        return f"{named}{version} answers {counts.get(version, 0)} of {answered} requests, {rest}"

    def estimated(version: str, rest: str) -> str:
        low, high = _sequential.interval(counts.get(version, 0), answered, tolerance, alpha)
        return (
            f"{named}{version} answers {counts.get(version, 0) / max(1, answered):.0%} of {answered} requests "
            f"({confidence * 100:g}% sure: {low * 100:.0f} to {high:.0%}), "
            f"expected {expected[version] * 100:g} ± {tolerance * 100:g}{rest}"
        )

    if not expected:
        return "pass", str
    unsettled: Why | None = None
    for version in sorted(set(expected) | set(counts)):
        wanted, seen = expected.get(version, 0.0), counts.get(version, 0)
        judged = wanted in (0.0, 1.0) or (wanted, version) in fractions
        if wanted == 0.0 and seen:
            return "fail", partial(answers, version, "expected 0%")
        if not judged or wanted == 0.0:
            continue
        if 0 < wanted < 1 and bunched([each == version for each in order]) < BUNCHED:
            unsettled = partial(
                answers,
                version,
                "but like answers follow each other, so these are not single choices: "
                "a proxy may keep its connections, or the shares changed meanwhile",
            )
            continue
        outcome = _sequential.verdict(seen, answered, wanted, tolerance, alpha, doubt)
        if outcome == "fail" and wanted == 1.0:
            return "fail", partial(answers, version, "expected 100%; no other version may answer")
        if outcome == "fail":
            return "fail", partial(estimated, version, "")
        if outcome == "more" and not (fixed and wanted == 1.0):
            unsettled = partial(estimated, version, ": too few samples to tell")
    return ("inconclusive", unsettled) if unsettled else ("pass", str)
