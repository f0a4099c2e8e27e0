"""Simulates the verdicts of version_distribution and writes docs/verdicts.md and docs/verdicts.svg."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _sequential, _statistics
from simulate import together
from simulate.rules import (
    Case,
    Result,
    confidence_sequence,
    every_look,
    fixed_size,
    holds,
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

TEXT = """\
# How far a verdict can be trusted

`make simulate` writes this page. Each row is {runs} simulated rollouts, judged by `version_distribution`'s own rule
(`plugins/module_utils/_proof/_sequential.py`) after every answer, at `confidence: 0.99`.

## What is promised

- **A true split is not failed.** A share that is exactly as expected fails with a probability of at most 1% (1 -
  `confidence`), however often one looks.
- **A wrong split is not passed.** A share that is off by `tolerance` or more passes with a probability of at most 1%.
- **Between the two, either verdict may come.** A canary that is expected to have 25 ± 10% and truly has 20% passes
  {pass20} of the time and fails {fail20}; one that has 30% passes {pass30} and fails {fail30}. `tolerance` is where a
  split is surely refused, not up to where it is surely accepted. If 20% is good enough for you and must not fail, set
  a wider tolerance.

The wrong verdicts that are bound by one of the two are in bold below. {verdict} (A promise counts as broken where so
many wrong verdicts would come with a probability below 0.1% if it were kept.)

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

## Several things at once

What is judged at once shares the 1% of false alarms out: more than two versions, of which each is judged, the success
rate beside them, the clusters of a fleet. Of two versions one is judged, as the other one says the same. The 1% of
wrong splits that pass is not shared out: each wrong thing alone passes that rarely.

### More than two versions

{versions}

### The success rate

`min_success` below 1 is judged by the same rule, downwards only. What must not pass is three times as many lost
requests as may be lost (1 - `min_success`), or `tolerance` below where that is nearer. With `min_success: 1`, the
default, one lost request fails the verdict, and there is nothing to estimate.

{success}

That few requests are lost takes many requests to know: {success100} for 99%, if none is. With fewer the verdict is
`inconclusive`. `max_p99` has the first promise only: it fails where it is 99% sure that more than 1% of the answers
are slower, and passes otherwise, so that a pass after few samples says little about it.

### A fleet

All clusters have a true 25%, and each is judged as 25 ± 10.

{fleet}

So 100 good clusters that are judged at 1% each give a false alarm in {alone} of the runs (at most 63%), and with
`family_size: 100`, as `fleet.yml` sets it, in 1% at most. That costs samples only where a share is off: a good one
passes as soon as before.

### One thing again and again

Right after a change a cluster may still send requests as before it, so the roles repeat a verdict that fails once a
second until it passes or `canary_settle` (10) or `rolling_update_settle` (30) seconds are over; a lost request ends
that at once. Something that is wrong and stays so would then have as many chances to pass. So the roles ask for more
confidence of each look, 1 - 0.01 / looks: a canary that is off by the tolerance still passes with 1% at most.

{looks}

## What the three sources are worth

- **`traffic`** is what users get: requests, each over a new connection. It is the only source that sees a load
  balancer, a proxy or a mesh between the users and the pods, and a version that answers under another name than its
  pods carry. It is an estimate, with the errors above, and takes as long as below. It judges no shares where one client
  cannot see them (session affinity without `source_addresses`, traffic policies, routing by topology) and says so.
- **`endpoints`** counts the ready addresses of the EndpointSlices by the tags of their pods: what can be reached at
  this moment. Nothing is estimated, it takes three requests to the API server, and it believes what was deployed.
- **`pods`** counts ready pods by the tags of their images, so it believes that too. It also counts a pod that
  is ready and not yet, or no longer, behind the Service.
- **`agree`** fails where they tell different stories. `agree: [traffic, endpoints]` finds a version that is deployed
  and does not answer, or answers as another one; `agree: [endpoints, pods]` pods that are ready and get no traffic.
  Traffic is then judged by each of the others' shares too, and the 1% is shared out over those verdicts. What two of
  the cluster's own sources say is compared exactly, within `tolerance`. Sources are read one after the other: while
  pods come and go they may disagree without anything being wrong.

## How long it takes

A true 25% takes {mean25} samples on average. With `rate_limit: 200`, the default, that is {mean25} / 200 = {seconds}
seconds at a steady rate. The module lets the first 200 begin at once and the next when that second is over, so 201 to
400 samples take one second and a little, however fast the service is. Only {within} of the runs at a true 25% end
within 200 samples: a verdict on a true split within a second needs a higher `rate_limit`. In 99 of 100 runs it takes
{p99} samples or fewer, {p99seconds} seconds. A canary that answers half of the requests is refused after {mean50} on
average, without waiting.
{measured}
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

Other weights move the samples from one share to another, as the means say (the true share above):

{candidates}

The last row is the limit: Wald's test that knows the true share and leaves half of alpha for the other side. Nothing
that has to be ready for both sides gets below it. Near the tolerance the rule is within {near} of it. The weights that
are fastest there are slowest where a rollout went wrong most, and the ones in between win a few samples here and lose
them there, so they stay as they are.

Two figures of Wald's test that one may know, 36 samples for 25% against 50% and 139 against 15%, are means where the
split is *true*, and then it has ruled out that one wrong share only: here {true50} and {true15}, and {true35} against
35%. Where the canary really has 50% or 15% the same tests take {wald50} and {wald15}. A verdict of `pass` here has
ruled out 15% and 35% at once, and takes {mean25}.
"""


#: What was measured and not simulated; `make bench` measures it again.
MEASURED = """
What follows is measured, not simulated: on two cores that others used too, so in CPU time, which that changes least
(`make bench` prints seconds, and the sampler beside wrk).

- **From the start of the module to a verdict** on a true 25%, at `rate_limit: 0` over plain HTTP: 0.30 s of CPU time of
  the module, its start included, and 0.11 s of the sandbox that answers (medians of 9 runs, 224 samples), so well under
  a second where nobody else uses the cores. Through the lab's frontend, TLS and one more hop, it is 0.76 s of each.
- **The default `rate_limit: 200` costs** what it waits: a verdict that takes more than 200 samples never comes within
  a second, and 259 take about 1.1 s. That is the price of never more than 200 requests in a second on a live service.
  Whoever may ask more sets it higher.
- **A sample** costs 0.13 ms, with its connection and a look at the verdict: 7,000 to 8,000 a second of CPU time, where
  `wrk -t1 -c16 -H 'Connection: close'` makes 11,000 to 12,600 against the same Service (0.57 to 0.69 of it).
- **TLS** is limited by its handshake: a sample costs 1.6 ms, 1.3 to 1.5 ms of which a bare loop of Python's `ssl` takes
  too. That is a full handshake for each sample, as each new user's; a session that is resumed would be cheaper (0.3 ms
  in wrk, which resumes all but its first ones) and could be led back to the same pod.
"""

CANDIDATES = (
    ((1, 0, 0), 2.5),
    ((0.8, 0.19, 0.01), 2.5),
    ((0.75, 0.2, 0.05), 2.5),
    ((0.5, 0.4, 0.1), 2.5),
    ((0.6, 0.3, 0.1), 2),
    ((0.6, 0.3, 0.1), 3),
    (_sequential.WEIGHTS, _sequential.FARTHER),
)
APART = (0, 0.05, 0.15, 0.25, 0.35, 0.5, 1)  #: true shares that weights are compared at


def candidate_rows(case: Case, runs: int, seed: int) -> tuple[str, float]:
    """The table of other weights, and how much longer than the limit the rule takes at the tolerance, at most."""
    rules = [sequential(case, CHOICE_HORIZON, weights=weights, farther=farther) for weights, farther in CANDIDATES]
    columns, limits = [], {}
    for share in APART:
        known = [sprt(case, share, CHOICE_HORIZON, sides=2)] if share != case.expected else []
        means = [one.samples.mean() for one in simulate([*rules, *known], share, runs, CHOICE_HORIZON, seed)]
        columns.append([f"{mean:.0f}" for mean in means] + [""] * (not known))
        limits[share] = means[-2] / means[-1]
    names = [
        f"{', '.join(f'{weight:g}' for weight in weights)}; {farther:g} tolerances"
        + (" (the rule)" if weights == _sequential.WEIGHTS and farther == _sequential.FARTHER else "")
        for weights, farther in CANDIDATES
    ]
    rows = [[name, *cells] for name, *cells in zip([*names, "knows the true share"], *columns, strict=True)]
    ends = [case.expected - case.tolerance, case.expected + case.tolerance]
    return table(["weights", *map(short, APART)], rows), max(limits[share] for share in ends) - 1


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
    candidates, near = candidate_rows(CASES[0], runs, seed)

    case = CASES[0]
    rules = [
        sequential(case, CHOICE_HORIZON),
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

    def rate(share: float, kind: str) -> str:
        return percent(getattr(ours[share], kind).mean(), 0)

    def true_mean(share: float) -> str:
        (wald_true,) = simulate([sprt(case, share, case.horizon)], case.expected, runs, case.horizon, seed)
        return f"{wald_true.samples.mean():.0f}"

    settled = ours[0.25].samples
    p99 = np.percentile(settled, 99)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdicts.md").write_text(
        TEXT.format(
            runs=f"{runs:,}",
            most=together.DEFAULT_MOST,
            pass20=rate(0.2, "passed"),
            fail20=rate(0.2, "failed"),
            pass30=rate(0.3, "passed"),
            fail30=rate(0.3, "failed"),
            verdict=f"**Broken: {', '.join(broken)}.**" if broken else "Each holds.",
            tables="\n\n".join(tables),
            versions=versions,
            success=success,
            success100=_statistics.missing({"1": 1}, 1, together.SUCCESS[0].standard) + 1,
            fleet=fleet,
            looks=looks,
            alone=percent(alone[100], 0),
            candidates=candidates,
            near=percent(near, 0),
            true15=true_mean(0.15),
            true35=true_mean(0.35),
            true50=true_mean(0.5),
            measured=MEASURED,
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
