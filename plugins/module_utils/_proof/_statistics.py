# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a sample of requests says about the shares of the versions behind it. Pure functions."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass
from functools import cached_property, partial

from ansible_collections.convoy.rollout.plugins.module_utils._proof import _order, _sequential

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


SLOW = 0.01  #: the share of answers that may take longer than max_p99
SLOWER = 0.05  #: the share of answers that take longer where that must not pass


MOST = 0.1  #: how far a share may be off where nobody says how far


def tolerated(share: float, tolerance: float | None) -> float:
    """How far a share between 0 and 1 may be off: as said, else 10 points, and half of it where that is less."""
    return min(MOST, share / 2, (1 - share) / 2) if tolerance is None else tolerance


#: Samples before which no share fails: where a proxy goes round its endpoints and those of a version stand side by
#: side, the first ones are all alike though the share is right.
LEAST = 100


@dataclass(frozen=True)
class Standard:
    """What samples are judged by: shares of the versions, of what is answered at all, and how sure it has to be."""

    expected: t.Mapping[str, float]  #: the share (0 to 1) of each version among the answers
    tolerance: float | None = None  #: how far a share may be off; None is as `tolerated` says
    confidence: float = 0.99
    min_success: float = 1.0  #: the share (0 to 1) of the requests that must be answered
    max_p99: float | None = None  #: seconds that 99 of 100 answers may take
    family: int = 1  #: over how many verdicts that are wanted together the doubt is shared out
    looks: int = 1  #: how often it is asked for at most, until it passes
    part: float = 1.0  #: of the probability to pass what loses too many, where a look that does is followed by others
    name: str = ""  #: what the words begin with
    least: int = LEAST  #: answers before which no share fails

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
        """The probability of failing what is as it should be, of each thing that is judged."""
        estimated = sum(share < 1 for share in self.judged.values()) + (0 < self.min_success < 1)
        if self.max_p99 is not None:
            estimated += 1 + len(self.timed)
        return self.beta / self.family / max(1, estimated)

    @cached_property
    def timed(self) -> list[str]:
        """The versions whose answers are timed by themselves too, as there are others beside them."""
        return sorted(version for version, share in self.expected.items() if 0 < share < 1)

    @cached_property
    def beta(self) -> float:
        """The probability of passing a share that is off by more than the tolerance, at one look."""
        return (1 - self.confidence) / self.looks

    @cached_property
    def missed(self) -> float:
        """The probability of passing what loses too many requests, at this look."""
        return (1 - self.confidence) * self.part

    @cached_property
    def lossy(self) -> float:
        """How far below `min_success` a share of answered requests must not pass."""
        return lossy(self.min_success)


POINT = 0.01  #: how many more lost requests than may be lost are found, at least


def lossy(min_success: float) -> float:
    """How far below a share of answered requests what must not pass is: 1 point, or three times as many lost."""
    return min(MOST, max(POINT, 2 * (1 - min_success))) if min_success < 1 else MOST


def needed(standard: Standard) -> int:
    """About how many requests settle it in 99 of 100 runs where all is right, or a share off by twice the tolerance."""
    answered = standard.min_success
    least = -math.log(standard.missed) / -math.log((answered - standard.lossy) / answered) if answered else 0
    shares = [
        _sequential.plenty(share, tolerated(share, standard.tolerance), standard.alpha, standard.beta)
        for share in standard.judged.values()
        if share < 1
    ]
    timed = -math.log(1 - standard.confidence) / math.log((1 - SLOW) / (1 - SLOWER)) if standard.max_p99 else 0
    own = [2 * timed / standard.expected[version] for version in standard.timed]
    return math.ceil(max([1.5 * least if answered < 1 else least, *shares, 2 * timed, *own]))


def judge(
    counts: t.Mapping[str, int],
    total: int,
    standard: Standard,
    *,
    fixed: bool = False,
    order: t.Sequence[str] = (),
    slow: t.Mapping[str, int] | None = None,
) -> tuple[Verdict, Why]:
    """Whether samples meet a standard, and why not.

    `counts` are answers by version, `total` all requests, lost ones too; shares are of the answers. A
    version that is expected to have all answers or none must have exactly that: one answer of another
    version refutes it. Valid at every look, see _sequential: what is within the tolerance is failed with
    a probability of 1 - confidence at most, shared out over what is judged at once and over the family; what
    is beyond it is passed with 1 - confidence at most. Where the number of samples is `fixed`, a
    version that had all of them passes, however few they were.

    `order` are the versions that answered, one after the other: where like answers follow each other more
    than single choices would, they count for as many as they are worth, see _order. `slow` is how many answers of
    each version took longer than max_p99. Those of all versions together, and of each by itself, are judged by the same
    method; of a `fixed` number few pass unless they are sure to be too many.
    """
    answered = sum(counts.values())
    alpha, beta = standard.alpha, standard.beta
    if total == 0:
        return "inconclusive", lambda: "no request was made"
    unsettled: Why | None = None
    wanted = standard.min_success
    if losing(answered, total, standard):
        return "fail", partial(_lost, standard, answered, total, "")
    if wanted and not (fixed and wanted == 1.0) and _losses(answered, total, standard) == "more":
        unsettled = partial(_lost, standard, answered, total, TOO_FEW)
    for late, of, version in _slow_ones(slow or {}, counts, standard):
        outcome = _latency(late, of, standard)
        if outcome == "fail":
            return "fail", partial(_slow, standard, late, of, version, "")
        if outcome == "more" and not fixed:
            unsettled = partial(_slow, standard, late, of, version, TOO_FEW)
    expected = standard.expected
    strange = [version for version, count in counts.items() if count and not expected.get(version)] if expected else []
    if strange:
        return "fail", partial(_exact, standard, min(strange), counts, "expected 0%")
    for version, wanted in standard.judged.items():
        seen = counts.get(version, 0)
        if wanted == 1.0:
            if _sequential.verdict(seen, answered, wanted, MOST, alpha, beta) == "more" and not fixed:
                unsettled = partial(_estimated, standard, version, counts, TOO_FEW)
            continue
        outcome = _share(seen, answered, wanted, standard, 1.0)
        alike = None
        if outcome != "more" and order:
            alike = _order.order_of([each == version for each in order])
            if alike.inflation > 1:
                outcome = _share(seen, answered, wanted, standard, alike.inflation)
        if outcome == "fail" and (fixed or answered >= standard.least):
            return "fail", partial(_estimated, standard, version, counts, "")
        if outcome != "pass":
            depend = alike is not None and alike.pattern == "alike"
            rest = KEPT.format(worth=alike.worth(answered)) if alike is not None and depend else TOO_FEW
            unsettled = partial(_estimated, standard, version, counts, rest)
    return ("inconclusive", unsettled) if unsettled else ("pass", str)


def _share(seen: int, answered: int, expected: float, standard: Standard, inflation: float) -> _sequential.Outcome:
    tolerance = tolerated(expected, standard.tolerance)
    return _sequential.share(seen / inflation, answered / inflation, expected, tolerance, standard.alpha, standard.beta)


def losing(answered: int, total: int, standard: Standard) -> bool:
    """Whether it is sure that too few of so many requests are answered."""
    return bool(standard.min_success) and total > 0 and _losses(answered, total, standard) == "fail"


def _losses(answered: int, total: int, standard: Standard) -> _sequential.Outcome:
    return _sequential.verdict(
        answered, total, standard.min_success, standard.lossy, standard.alpha, standard.missed, sides=(-1,)
    )


def too_slow(slow: t.Mapping[str, int], counts: t.Mapping[str, int], standard: Standard) -> bool:
    """Whether it is sure that more answers than may be took longer than max_p99."""
    return any(_latency(late, of, standard) == "fail" for late, of, _version in _slow_ones(slow, counts, standard))


def _slow_ones(
    slow: t.Mapping[str, int], counts: t.Mapping[str, int], standard: Standard
) -> list[tuple[int, int, str]]:
    """How many answers are slow, of how many, and of which version; empty for all of them together."""
    if standard.max_p99 is None:
        return []
    own = [(slow.get(version, 0), counts.get(version, 0), version) for version in standard.timed]
    return [(sum(slow.values()), sum(counts.values()), ""), *own]


def _latency(slow: int, answered: int, standard: Standard) -> _sequential.Outcome:
    if not answered:
        return "more"
    missed = 1 - standard.confidence
    return _sequential.verdict(answered - slow, answered, 1 - SLOW, SLOWER - SLOW, standard.alpha, missed, sides=(-1,))


TOO_FEW = ": too few samples to tell"
KEPT = (
    ", but equal answers follow each other, so these count as about {worth} independent ones, too few to tell: "
    "a proxy may keep its connections, clients stick to what they got, or the shares changed meanwhile"
)


def percent(share: float, beside: float = math.nan) -> str:
    """A share in percent: whole, with two digits that count near none and all, and told from one that is another."""
    near = min(share, 1 - share) * 100
    digits = 0 if near >= 10 or not near else math.ceil(1 - math.log10(near))
    while digits < 7 and share != beside and f"{share * 100:.{digits}f}" == f"{beside * 100:.{digits}f}":
        digits += 1
    text = f"{share * 100:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _named(standard: Standard) -> str:
    return f"{standard.name} " if standard.name else ""


def _sure(standard: Standard) -> str:
    # Rounded down: what is said is not surer than what was measured.
    return f"{math.floor((1 - standard.beta) * 10_000 + 1e-6) / 100:g}% confidence"


def _exact(standard: Standard, version: str, counts: t.Mapping[str, int], rest: str) -> str:
    return f"{_named(standard)}{version} answers {counts.get(version, 0)} of {sum(counts.values())} requests, {rest}"


def _estimated(standard: Standard, version: str, counts: t.Mapping[str, int], rest: str) -> str:
    seen, answered = counts.get(version, 0), sum(counts.values())
    low, high = _sequential.interval(seen, answered, standard.alpha)
    wanted = standard.expected[version]
    around = f" ± {tolerated(wanted, standard.tolerance) * 100:g}" if wanted < 1 else "%"
    return (
        f"{_named(standard)}{version} answers {percent(seen / max(1, answered), wanted)}% of {answered} requests "
        f"({_sure(standard)}: {percent(low, wanted)} to {percent(high, wanted)}%), expected "
        f"{wanted * 100:g}{around}{rest}"
    )


def _lost(standard: Standard, answered: int, total: int, rest: str) -> str:
    if standard.min_success == 1.0 and answered < total:
        return f"{total - answered} of {total} requests got no answer that names a version, and 100% must"
    wanted = standard.min_success
    # At twice alpha the upper end of the interval is what is as sure without the lower one.
    _low, high = _sequential.interval(answered, total, 2 * standard.alpha)
    return (
        f"{_named(standard)}answers {percent(answered / total, wanted)}% of {total} requests with a version "
        f"({_sure(standard)}: {percent(high, wanted)}% at most), expected {percent(wanted)}% or more{rest}"
    )


def _slow(standard: Standard, slow: int, answered: int, version: str, rest: str) -> str:
    of = f"{version} " if version else ""
    return (
        f"{_named(standard)}{of}took more than {standard.max_p99:g} s for {slow} of {answered} answers, where "
        f"{SLOW:.0%} may{rest}"
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
