"""Simulates the verdicts of version_distribution and writes docs/verdicts.md and docs/verdicts.svg."""

from __future__ import annotations

import sys
import typing as t
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy import special, stats

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.convoy.rollout.plugins.module_utils import _sequential

Array = t.Any  #: an array of NumPy
Counts = Callable[[Array, Array], Array]  #: of `count` of `total`, elementwise

DOCS = Path(__file__).resolve().parents[2] / "docs"
RUNS = 20_000
SEED = 25
RISK = 0.01  #: alpha and beta, 1 - confidence
LOOKS = (10, 1000)  #: the naive test looks every so many samples, and so many at most
DEFAULT_MOST = 1000  #: the module's max_samples
CHOICE_HORIZON = 2000  #: where the tests to choose from are stopped, in samples
BLOCK = 250  #: samples that are drawn at a time


class Case(t.NamedTuple):
    """An expected share with its tolerance, the true shares it is held against, and when to give up."""

    expected: float
    tolerance: float
    shares: tuple[float, ...]
    horizon: int  #: samples


CASES = (
    Case(0.25, 0.1, (0, 0.05, 0.15, 0.2, 0.25, 0.3, 0.35, 0.5, 1), 4000),
    Case(0.01, 0.01, (0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05), 20_000),
    Case(0.1, 0.05, (0, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.5), 8000),
    Case(0.5, 0.1, (0, 0.4, 0.45, 0.5, 0.55, 0.6, 0.75, 1), 4000),
)
#: Shares between those of the table, for the plot.
BETWEEN = (0.1, 0.125, 0.175, 0.225, 0.275, 0.325, 0.4)


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


def sequential(case: Case, horizon: int, *, pair: bool = False) -> Boundaries:
    """The boundaries of the module's own rule; with `pair`, of the nearest alternatives alone."""
    null, tolerance = case.expected, case.tolerance
    edges = {side: _sequential.alternatives(null, tolerance, side)[0][0] for side in (-1, 1)}
    limit = np.log(2 / RISK)

    def ratio(side: int) -> Counts:
        return np.vectorize(
            lambda count, total: _sequential.log_ratio(int(count), int(total), edges[side], null), otypes=[float]
        )

    def evidence(side: int) -> Counts:
        return np.vectorize(
            lambda count, total: _sequential.log_mixture(int(count), int(total), null, tolerance, side),
            otypes=[float],
        )

    against = ratio if pair else evidence
    total = np.arange(1, horizon + 1, dtype=np.int32)
    below, above, against_low, against_high = ratio(-1), ratio(1), against(-1), against(1)
    return Boundaries(
        fail_low=first(lambda x, n: against_low(x, n) < limit, total) - 1,
        fail_high=first(lambda x, n: against_high(x, n) >= limit, total),
        pass_low=first(lambda x, n: below(x, n) <= np.log(RISK), total),
        pass_high=first(lambda x, n: above(x, n) > np.log(RISK), total) - 1,
    )


def confidence_sequence(case: Case, horizon: int) -> Boundaries:
    """Of the confidence sequence {p : E(p) < 1 / alpha} of the uniform mixture, inside or outside the band.

    E(p) = B(1 + x, 1 + n - x) / (p^x (1 - p)^(n - x)), from H. Robbins, Annals of Mathematical Statistics
    41, 1970. Passes where the sequence lies within expected ± tolerance, fails where it lies outside.
    """
    low, high = case.expected - case.tolerance, case.expected + case.tolerance
    total = np.arange(1, horizon + 1)

    def excluded(x: Array, n: Array, share: float) -> Array:
        return special.betaln(1 + x, 1 + n - x) - special.xlogy(x, share) - special.xlog1py(n - x, -share) >= -np.log(
            RISK
        )

    def beyond(share: float) -> Array:
        return first(lambda x, n: (x > n * share) & excluded(x, n, share), total)

    def short(share: float) -> Array:
        return first(lambda x, n: (x >= n * share) | ~excluded(x, n, share), total) - 1

    return Boundaries(fail_low=short(low), fail_high=beyond(high), pass_low=beyond(low), pass_high=short(high))


def sprt(case: Case, share: float, horizon: int) -> Boundaries:
    """Wald's test of `expected` against the true share, which only a simulation knows."""
    null, total, side = case.expected, np.arange(1, horizon + 1), 1 if share > case.expected else -1
    ratio = np.vectorize(lambda x, n: _sequential.log_ratio(int(x), int(n), share, null), otypes=[float])
    limit = np.log((1 - RISK) / RISK)
    never = np.full(horizon, -1)
    if side > 0:
        fails = first(lambda x, n: ratio(x, n) >= limit, total)
        return Boundaries(never, fails, np.zeros(horizon), first(lambda x, n: ratio(x, n) > -limit, total) - 1)
    fails = first(lambda x, n: ratio(x, n) < limit, total) - 1
    return Boundaries(fails, total + 1, first(lambda x, n: ratio(x, n) <= -limit, total), total)


def every_look(case: Case, horizon: int) -> Boundaries:
    """Of the naive test: a z-test at 5% every 10 samples, as if each look were the only one."""
    step, most = LOOKS
    total = np.arange(1, horizon + 1)
    away = stats.norm.isf(0.025) * np.sqrt(total * case.expected * (1 - case.expected))
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
            limit = stats.binom.isf(alpha, total, case.expected)  # fails above
            good &= stats.binom.cdf(limit, total, other) <= RISK
        else:
            limit = stats.binom.ppf(alpha, total, case.expected)  # fails below
            good &= stats.binom.sf(limit - 1, total, other) <= RISK
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
    return bool(stats.binom.sf(wrong - 1, len(result.failed), RISK) >= 0.001)


def percent(value: float, digits: int = 2) -> str:
    """A share as a percentage."""
    return f"{value * 100:.{digits}f}%"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown, its numbers to the right."""
    lines = [header, ["---:"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def short(share: float) -> str:
    """A share as people write it."""
    return f"{share * 100:g}%"


def case_rows(case: Case, runs: int, seed: int) -> tuple[list[list[str]], dict[float, Result]]:
    """The table of a case, and what the module's rule did at each share."""
    rule, naive = sequential(case, case.horizon), every_look(case, case.horizon)
    rows, results = [], {}
    for share in case.shares:
        kind = promise(case, share)
        beside = [sprt(case, share, case.horizon)] if kind == "pass" else []
        ours, looks, *wald = simulate([rule, naive, *beside], share, runs, case.horizon, seed)
        results[share] = ours
        verdicts = [percent(ours.passed.mean()), percent(ours.failed.mean())]
        if kind:
            verdicts[kind == "fail"] = f"**{verdicts[kind == 'fail']}**"
        rows.append(
            [
                short(share),
                *verdicts,
                f"{ours.samples.mean():.0f}",
                f"{np.percentile(ours.samples, 95):.0f}",
                f"{np.percentile(ours.samples, 99):.0f}",
                percent((ours.samples > DEFAULT_MOST).mean(), 1),
                f"{fixed_size(case, share)}" if kind else "",
                f"{wald[0].samples.mean():.0f}" if wald else "",
                percent(looks.failed.mean(), 1),
            ]
        )
    return rows, results


WALD = "Wald's SPRT, mean"
HEADER = (
    "true share",
    "passes",
    "fails",
    "samples, mean",
    "p95",
    "p99",
    f"more than {DEFAULT_MOST}",
    "fixed size",
    WALD,
    "every 10 at 5% rejects",
)

TEXT = """\
# How far a verdict can be trusted

`make simulate` writes this page. Each row is {runs} simulated rollouts, judged by `version_distribution`'s own rule
(`plugins/module_utils/_sequential.py`) after every answer, at `confidence: 0.99`.

## What is promised

- **A true split is not failed.** A share that is exactly as expected fails with a probability of at most 1% (1 -
  `confidence`), however often one looks.
- **A wrong split is not passed.** A share that is off by `tolerance` or more passes with a probability of at most 1%.
- **Between the two, either verdict may come.** A canary that is expected to have 25 ± 10% and truly has 20% passes
  {pass20} of the time and fails {fail20}; one that has 30% passes {pass30} and fails {fail30}. `tolerance` is where a
  split is surely refused, not up to where it is surely accepted. If 20% is good enough for you and must not fail, set
  a wider tolerance.

{checked} rows below are bound by one of the two, and their wrong verdicts are in bold. {verdict} (A promise counts as
broken where so many wrong verdicts would come with a probability below 0.1% if it were kept.)

![Which verdict comes, and after how many samples](verdicts.svg)

## The figures

*Fixed size* is the least number of samples, known beforehand, with which an exact binomial test tells the expected
share from the true one with both errors at 1%; in the row of the expected share, from both ends of the tolerance.
*Wald's SPRT* knows the true share and asks about nothing else: no test with these errors needs fewer samples on
average. *Every 10 at 5%* is what a script does that looks every 10 answers, up to 1000, and stops when a z-test says
"significant". *More than {most}* is how often the default `max_samples` does not settle it: the verdict is then
`inconclusive`.

{tables}

The naive test rejects a true split of 25% in {naive} of its runs.

Between the rule and Wald's SPRT lies the price of not knowing the true share: {mean50} samples against {wald50} at
50%, {mean15} against {wald15} at 15%. A test of a fixed size needs {fixed50} and {fixed15} for them, and more in
practice: who does not know the true share has to take the {fixed25} of the nearest ones, always.

For 1% the tolerance is 1 point: its lower end is no canary at all, its upper end twice what was wanted. For 10% it is
5 points, for 50% it is 10. A 1% canary takes thousands of requests by any test: with the default `max_samples` most
of them end `inconclusive`, so raise it to 5000.

## How long it takes

A true 25% takes {mean25} samples on average. With `rate_limit: 200`, the default, that is {mean25} / 200 = {seconds}
seconds at a steady rate. The module lets the first 200 begin at once and the next when that second is over, so 201 to
400 samples take one second and a little, however fast the service is. Only {within} of the runs at a true 25% end
within 200 samples: a verdict on a true split within a second needs a higher `rate_limit`. In 99 of 100 runs it takes
{p99} samples or fewer, {p99seconds} seconds. A canary that answers half of the requests is refused after {mean50} on
average, without waiting.

## Why this rule

It was chosen among three, all of them valid at every look, on the same simulated answers; 25 ± 10, stopped at
{horizon} samples, which count as {horizon} where there is no verdict (drawn anew, so that the figures differ a little
from those above):

{choice}

- The *confidence sequence* of the uniform mixture passes where it lies inside 15 to 35% and fails where it lies
  outside. That promises more: a share inside the tolerance fails with 1% at most, not only the expected one. But it
  needs {mixture25} samples for a true 25% where the rule needs {mean25}, and a share at the end of the tolerance is
  left open: {open15} of the runs at a true 15% had no verdict after {horizon} samples.
- The *SPRT pair* tests 25% against 15% and against 35% and no other. It is a little faster near the tolerance, and
  slower where a rollout really went wrong: {pair50} samples against {mean50} at 50%, {pair100} against {mean100} at
  100%.
- The rule weights shares farther out too ({weights} for those at the tolerance, {farther} tolerances away and at the
  end). At the tolerance that costs some samples: {mean15} at 15%, where the pair takes {pair15}. It passes by the
  nearest alternatives alone, as the pair does.
"""


def plot(path: Path, points: dict[float, list[Result]], case: Case) -> None:
    """Which verdict comes and after how many samples, over the true share."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "verdicts"  # the same figures make the same file
    from matplotlib import pyplot

    shares = sorted(share for share in points if share <= 0.5)
    x = [share * 100 for share in shares]
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(8, 7), layout="constrained")
    ours = [points[share][0] for share in shares]
    above.plot(x, [one.passed.mean() * 100 for one in ours], "o-", color="tab:green", label="passes")
    above.plot(x, [one.failed.mean() * 100 for one in ours], "o-", color="tab:red", label="fails")
    above.plot(
        x,
        [points[share][3].failed.mean() * 100 for share in shares],
        ":",
        color="tab:gray",
        label="rejected by looking every 10 at 5%",
    )
    above.set_ylabel("runs, %")
    below.plot(x, [one.samples.mean() for one in ours], "o-", color="tab:blue", label="mean")
    below.plot(x, [np.percentile(one.samples, 95) for one in ours], "o--", color="tab:blue", label="p95")
    below.plot(
        x,
        [points[share][2].samples.mean() for share in shares],
        "s-",
        color="tab:orange",
        label=f"mean of the confidence sequence, stopped at {CHOICE_HORIZON}",
    )
    below.axhline(fixed_size(case, case.expected), ls=":", color="black", label="fixed size")
    below.set_yscale("log")
    below.set_ylabel("samples")
    below.set_xlabel(f"true share, %; expected {case.expected * 100:g} ± {case.tolerance * 100:g}")
    for axes in (above, below):
        axes.axvspan(
            (case.expected - case.tolerance) * 100, (case.expected + case.tolerance) * 100, color="0.93", zorder=0
        )
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def write(folder: Path, runs: int = RUNS, seed: int = SEED) -> bool:
    """Simulate everything and write the page and its plot; whether every promise holds."""
    tables, everything = [], {}
    for case in CASES:
        rows, results = case_rows(case, runs, seed)
        everything[case] = results
        if case is CASES[0]:
            wald = {share: row[HEADER.index(WALD)] for share, row in zip(case.shares, rows, strict=True)}
        title = f"### Expected {short(case.expected)} ± {case.tolerance * 100:g} points"
        tables.append(f"{title}\n\n{table(HEADER, rows)}")
    kept = [
        (case, share, holds(case, share, result))
        for case, results in everything.items()
        for share, result in results.items()
        if promise(case, share)
    ]
    broken = [f"{short(case.expected)} against {short(share)}" for case, share, held in kept if not held]

    case = CASES[0]
    rules = [
        sequential(case, CHOICE_HORIZON),
        sequential(case, CHOICE_HORIZON, pair=True),
        confidence_sequence(case, CHOICE_HORIZON),
        every_look(case, CHOICE_HORIZON),
    ]
    points = {share: simulate(rules, share, runs, CHOICE_HORIZON, seed) for share in (*case.shares, *BETWEEN)}
    names = ("rule", "SPRT pair", "confidence sequence")
    choice = table(
        ["true share", *(f"{name}: {what}" for name in names for what in ("mean", "p95", "no verdict"))],
        [
            [
                short(share),
                *(
                    cell
                    for one in points[share][:3]
                    for cell in (
                        f"{one.samples.mean():.0f}",
                        f"{np.percentile(one.samples, 95):.0f}",
                        percent(1 - (one.passed | one.failed).mean(), 1),
                    )
                ),
            ]
            for share in case.shares
        ],
    )

    ours = everything[case]

    def mean(share: float, rule: int | None = None) -> str:
        return f"{(ours[share] if rule is None else points[share][rule]).samples.mean():.0f}"

    def rate(share: float, kind: str) -> str:
        return percent(getattr(ours[share], kind).mean(), 0)

    settled = ours[0.25].samples
    p99 = np.percentile(settled, 99)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdicts.md").write_text(
        TEXT.format(
            runs=f"{runs:,}",
            most=DEFAULT_MOST,
            pass20=rate(0.2, "passed"),
            fail20=rate(0.2, "failed"),
            pass30=rate(0.3, "passed"),
            fail30=rate(0.3, "failed"),
            checked=len(kept),
            verdict=f"**Broken: {', '.join(broken)}.**" if broken else "Each holds.",
            tables="\n\n".join(tables),
            naive=percent(points[0.25][3].failed.mean(), 0),
            wald15=wald[0.15],
            wald50=wald[0.5],
            fixed15=fixed_size(case, 0.15),
            fixed25=fixed_size(case, 0.25),
            fixed50=fixed_size(case, 0.5),
            within=percent((settled <= 200).mean(), 0),
            mean15=mean(0.15),
            mean25=mean(0.25),
            mean50=mean(0.5),
            mean100=mean(1),
            seconds=f"{settled.mean() / 200:.1f}",
            p99=f"{p99:.0f}",
            p99seconds=f"{p99 / 200:.1f}",
            horizon=CHOICE_HORIZON,
            choice=choice,
            mixture25=mean(0.25, 2),
            open15=percent(1 - (points[0.15][2].passed | points[0.15][2].failed).mean(), 1),
            pair15=mean(0.15, 1),
            pair50=mean(0.5, 1),
            pair100=mean(1, 1),
            weights=", ".join(f"{weight:g}" for weight in _sequential.WEIGHTS),
            farther=f"{_sequential.FARTHER:g}",
        ),
        encoding="utf-8",
    )
    plot(folder / "verdicts.svg", points, case)
    return not broken


if __name__ == "__main__":
    if not write(DOCS):
        sys.exit("A promise does not hold: see docs/verdicts.md.")
