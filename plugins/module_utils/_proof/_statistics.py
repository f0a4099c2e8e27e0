# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a sample of requests says about the shares of the versions behind it. Pure functions."""

from __future__ import annotations

import itertools
import math
import typing as t
from dataclasses import dataclass
from functools import cached_property, partial

from ansible_collections.convoy.rollout.plugins.module_utils._proof import _sequential

Verdict = t.Literal["pass", "fail", "inconclusive"]

#: Why it is so, put into words where someone reads them: that takes a hundred times as long as the verdict.
Why = t.Callable[[], str]


def said(counts: t.Mapping[str, int], errors: t.Mapping[str, int], unit: str = "requests") -> str:
    """What was counted: answers by version, and by why what got no answer."""

    def often(found: t.Mapping[str, int]) -> list[tuple[str, int]]:
        return sorted(found.items(), key=lambda item: -item[1])

    answered, lost = sum(counts.values()), sum(errors.values())
    seen = ", ".join(f"{version} {count}" for version, count in often(counts)) or "no version"
    why = "; ".join(f"{count} x {error}" for error, count in often(errors))
    return f"{seen} of {answered + lost} {unit}, {lost} lost" + (f" ({why})" if why else "")


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


SLOW = 0.01  #: the share of answers that may take longer than max_p99


@dataclass(frozen=True)
class Standard:
    """What samples are judged by: shares of the versions, of what is answered at all, and how sure it has to be."""

    expected: t.Mapping[str, float]  #: the share (0 to 1) of each version among the answers
    tolerance: float = 0.1  #: how far a share that must not pass is off
    confidence: float = 0.99
    min_success: float = 1.0  #: the share (0 to 1) of the requests that must be answered
    max_p99: float | None = None  #: seconds that 99 of 100 answers may take
    family: int = 1  #: over how many verdicts that are wanted together the doubt is shared out
    name: str = ""  #: what the words begin with

    @cached_property
    def judged(self) -> dict[str, float]:
        """The shares that are judged, by version. Of two the other one would say the same."""
        fractions = sorted((share, version) for version, share in self.expected.items() if 0 < share < 1)
        if len(fractions) == 2:
            fractions = fractions[:1]
        whole = [(share, version) for version, share in self.expected.items() if share == 1.0]
        return {version: share for share, version in sorted(fractions + whole, key=lambda each: each[1])}

    @cached_property
    def alpha(self) -> float:
        """The probability of failing what is exactly as it should be, of each thing that is judged."""
        estimated = sum(share < 1 for share in self.judged.values()) + (0 < self.min_success < 1)
        return self.beta / self.family / max(1, estimated + (self.max_p99 is not None))

    @cached_property
    def beta(self) -> float:
        """The probability of passing what is off by the tolerance."""
        return 1 - self.confidence

    @cached_property
    def lossy(self) -> float:
        """How far below `min_success` a share must not pass: three times as many requests are lost as may be."""
        return min(self.tolerance, 2 * (1 - self.min_success)) or self.tolerance


def judge(
    counts: t.Mapping[str, int],
    total: int,
    standard: Standard,
    *,
    fixed: bool = False,
    order: t.Sequence[str] = (),
    slow: int = 0,
) -> tuple[Verdict, Why]:
    """Whether samples meet a standard, and why not.

    `counts` are answers by version, `total` all requests, lost ones too; shares are of the answers. A
    version that is expected to have all answers or none must have exactly that: one answer of another
    version refutes it. Valid at every look, see _sequential: what is exactly as it should be is failed with
    a probability of 1 - confidence at most, shared out over what is judged at once and over the family; what
    is off by the tolerance is passed with 1 - confidence at most. Where the number of samples is `fixed`, a
    version that had all of them passes, however few they were.

    `order` are the versions that answered, one after the other: where like answers follow each other more
    than single choices would, no share is judged. `slow` is how many answers took longer than max_p99: that
    fails where it is sure that more do than may, and passes otherwise.
    """
    answered = sum(counts.values())
    alpha, beta, tolerance = standard.alpha, standard.beta, standard.tolerance
    if total == 0:
        return "inconclusive", lambda: "no request was made"
    unsettled: Why | None = None
    wanted = standard.min_success
    if wanted:
        outcome = _sequential.verdict(answered, total, wanted, standard.lossy, alpha, beta, sides=(-1,))
        if outcome == "fail":
            return "fail", partial(_lost, standard, answered, total, "")
        if outcome == "more" and not (fixed and wanted == 1.0):
            unsettled = partial(_lost, standard, answered, total, TOO_FEW)
    if too_slow(slow, answered, standard):
        return "fail", partial(_slow, standard, slow, answered)
    expected = standard.expected
    strange = [version for version, count in counts.items() if count and not expected.get(version)] if expected else []
    if strange:
        return "fail", partial(_exact, standard, min(strange), counts, "expected 0%")
    for version, wanted in standard.judged.items():
        if wanted < 1 and order and bunched([each == version for each in order]) < BUNCHED:
            unsettled = partial(_exact, standard, version, counts, KEPT)
            continue
        outcome = _sequential.verdict(counts.get(version, 0), answered, wanted, tolerance, alpha, beta)
        if outcome == "fail":
            return "fail", partial(_estimated, standard, version, counts, "")
        if outcome == "more" and not (fixed and wanted == 1.0):
            unsettled = partial(_estimated, standard, version, counts, TOO_FEW)
    return ("inconclusive", unsettled) if unsettled else ("pass", str)


def too_slow(slow: int, answered: int, standard: Standard) -> bool:
    """Whether it is sure that more answers than may be took longer than max_p99, which `slow` of them did."""
    if standard.max_p99 is None:
        return False
    # At least three times as many are slow as may be.
    evidence = _sequential.log_mixture(answered - slow, answered, 1 - SLOW, 2 * SLOW, -1)
    return evidence >= -math.log(standard.alpha)


TOO_FEW = ": too few samples to tell"
KEPT = (
    "but like answers follow each other, so these are not single choices: "
    "a proxy may keep its connections, or the shares changed meanwhile"
)


def _named(standard: Standard) -> str:
    return f"{standard.name} " if standard.name else ""


def _sure(standard: Standard) -> str:
    # Rounded down: what is said is not surer than what was measured.
    return f"{math.floor(standard.confidence * 10_000 + 1e-6) / 100:g}% sure"


def _exact(standard: Standard, version: str, counts: t.Mapping[str, int], rest: str) -> str:
    return f"{_named(standard)}{version} answers {counts.get(version, 0)} of {sum(counts.values())} requests, {rest}"


def _estimated(standard: Standard, version: str, counts: t.Mapping[str, int], rest: str) -> str:
    seen, answered = counts.get(version, 0), sum(counts.values())
    low, high = _sequential.interval(seen, answered, standard.tolerance, standard.alpha)
    return (
        f"{_named(standard)}{version} answers {seen / max(1, answered):.0%} of {answered} requests "
        f"({_sure(standard)}: {low * 100:.0f} to {high:.0%}), "
        f"expected {standard.expected[version] * 100:g} ± {standard.tolerance * 100:g}{rest}"
    )


def _lost(standard: Standard, answered: int, total: int, rest: str) -> str:
    if standard.min_success == 1.0 and answered < total:
        return f"{total - answered} of {total} requests got no answer that names a version, and 100% must"
    # At twice alpha the upper end of the interval is what is as sure without the lower one.
    _low, high = _sequential.interval(answered, total, standard.lossy, 2 * standard.alpha)
    return (
        f"{_named(standard)}answers {answered / total:.0%} of {total} requests with a version "
        f"({_sure(standard)}: {high:.0%} at most), "
        f"expected {standard.min_success * 100:g}% or more{rest}"
    )


def _slow(standard: Standard, slow: int, answered: int) -> str:
    return (
        f"{_named(standard)}took more than {standard.max_p99:g} s for {slow} of {answered} answers, "
        f"and for {SLOW:.0%} it may"
    )


def missing(counts: t.Mapping[str, int], total: int, standard: Standard) -> int | None:
    """About how many more requests would settle it, if they ended as they have so far; None if over 100,000."""

    def settled(most: int) -> bool:
        scaled = {version: round(most * count / total) for version, count in counts.items()}
        return judge(scaled, max(most, sum(scaled.values())), standard)[0] != "inconclusive"

    most = max(1, total)
    while not settled(most):
        most *= 2
        if most > 100_000:
            return None
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if settled(middle) else (middle, most)
    return max(0, most - total)
