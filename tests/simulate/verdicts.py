"""Simulates the verdicts of version_distribution and writes docs/verdicts.md and docs/verdicts.svg."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _statistics
from simulate import together, whole
from simulate.rules import (
    Case,
    Result,
    confidence_sequence,
    every_look,
    fixed_size,
    holds,
    own,
    promise,
    sequential,
    simulate,
    sprt,
)
from simulate.tables import percent, short, table

DOCS = Path(__file__).resolve().parents[2] / "docs"
RUNS = 20_000
SEED = 25
CHOICE_HORIZON = 2000  #: where the tests to choose from are stopped, in samples

CASES = (
    Case(0.25, 0.1, (0, 0.05, 0.15, 0.2, 0.25, 0.3, 0.35, 0.5, 1), 4000),
    Case(0.01, 0.01, (0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05), 20_000),
    Case(0.1, 0.05, (0, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.5), 8000),
    Case(0.5, 0.1, (0, 0.4, 0.45, 0.5, 0.55, 0.6, 0.75, 1), 4000),
)
#: Shares between those of the table, for the plot.
BETWEEN = (0.1, 0.125, 0.175, 0.225, 0.275, 0.325, 0.4)


def case_rows(case: Case, runs: int, seed: int) -> tuple[list[list[str]], dict[float, Result]]:
    """The table of a case, and what the module's rule did at each share."""
    module, naive = own(case, case.horizon), every_look(case, case.horizon)
    rows, results = [], {}
    for share in case.shares:
        kind = promise(case, share)
        beside = [sprt(case, share, case.horizon)] if kind == "pass" else []
        ours, looks, *wald = simulate([module, naive, *beside], share, runs, case.horizon, seed)
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
                percent((ours.samples > together.DEFAULT_MOST).mean(), 1),
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
    f"more than {together.DEFAULT_MOST}",
    "fixed size",
    WALD,
    "every 10 at 5% rejects",
)

TEXT = Path(__file__).with_name("verdicts.md.in").read_text(encoding="utf-8")


#: What was measured and not simulated; `make bench` measures it again.
MEASURED = """
What follows is measured, not simulated: on two cores that others used too, so in CPU time, which that changes least
(`make bench` prints seconds, and the sampler beside wrk).

- **From the start of the module to a verdict** on a true 25%, at `rate_limit: 0` over plain HTTP: 0.30 s of CPU time of
  the module, its start included, and 0.11 s of the sandbox that answers (medians of 9 runs, 224 samples), so well under
  a second where nobody else uses the cores. Through the lab's frontend, TLS and one more hop, it is 0.76 s of each.
- **The default `rate_limit: 200` costs** what it waits: a verdict that takes more than 200 samples never comes within
  a second, and 259 take about 1.1 s. That is the price of never more than 200 requests in a second on a live service.
  Whoever may ask more sets it higher, in the module or in the entry: with `rate_limit: 400` in its entry, of which
  looks make 320, the lab takes 76 s where it took 96 s.
- **A sample** costs 0.13 ms, with its connection and a look at the verdict: 7,000 to 8,000 a second of CPU time, where
  `wrk -t1 -c16 -H 'Connection: close'` makes 11,000 to 12,600 against the same Service (0.57 to 0.69 of it).
- **TLS** is limited by its handshake: a sample costs 1.6 ms, 1.3 to 1.5 ms of which a bare loop of Python's `ssl` takes
  too. That is a full handshake for each sample, as each new user's; a session that is resumed would be cheaper (0.3 ms
  in wrk, which resumes all but its first ones) and could be led back to the same pod.
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
    versions, broken_versions = together.trial_rows(together.VERSIONS, runs, seed)
    success, broken_success = together.trial_rows(together.SUCCESS, runs, seed)
    fleet, broken_fleet, alone = together.fleet_rows(CASES[0], runs, seed)
    looks, broken_looks = together.look_rows(CASES[0], runs, seed)
    broken += [*broken_versions, *broken_success, *broken_fleet, *broken_looks]
    pauses, turns, broken_pauses = whole.pause_rows(runs, seed)
    losing, broken_losing = whole.losing_rows(runs, seed)
    slow, broken_slow = whole.slow_rows(runs, seed)
    small, broken_small = whole.small_rows(runs, seed)
    traffic, broken_traffic = whole.traffic_rows(runs, seed)
    broken += [*broken_pauses, *broken_losing, *broken_slow, *broken_small, *broken_traffic]

    case = CASES[0]
    rules = [
        own(case, CHOICE_HORIZON),
        sequential(case, CHOICE_HORIZON, weights=(1, 0, 0)),
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

    settled = ours[0.25].samples
    p99 = np.percentile(settled, 99)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdicts.md").write_text(
        TEXT.format(
            runs=f"{runs:,}",
            most=together.DEFAULT_MOST,
            verdict=f"**Broken: {', '.join(broken)}.**" if broken else "Each holds.",
            tables="\n\n".join(tables),
            versions=versions,
            success=success,
            fleet=fleet,
            looks=looks,
            alone=percent(alone[100], 0),
            measured=MEASURED,
            naive=percent(points[0.25][3].failed.mean(), 0),
            wald50=wald[0.5],
            fixed25=fixed_size(case, 0.25),
            fixed50=fixed_size(case, 0.5),
            mean25=mean(0.25),
            mean50=mean(0.5),
            seconds=f"{settled.mean() / 200:.1f}",
            p99=f"{p99:.0f}",
            p99seconds=f"{p99 / 200:.1f}",
            horizon=CHOICE_HORIZON,
            choice=choice,
            mixture25=mean(0.25, 2),
            pair30=percent(points[0.3][1].failed.mean(), 0),
            needed1=f"{_statistics.needed(_statistics.Standard({'2': 0.01, '1': 0.99})):,}",
            pauses=pauses,
            turns=turns,
            losing=losing,
            slow=slow,
            small=small,
            traffic=traffic,
        ),
        encoding="utf-8",
    )
    plot(folder / "verdicts.svg", points, case)
    return not broken


if __name__ == "__main__":
    if not write(DOCS):
        sys.exit("A promise does not hold: see docs/verdicts.md.")
