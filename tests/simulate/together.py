"""Verdicts on several things at once: more than two versions, the success rate beside shares, a fleet of clusters."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

import numpy as np
import scipy
from ansible_collections.convoy.rollout.plugins.module_utils._proof._statistics import MOST, Standard, tolerated
from simulate.rules import BLOCK, RISK, Array, Boundaries, Case, Result, own, sequential, simulate
from simulate.tables import percent, short, table

DEFAULT_MOST = 1000  #: the module's max_samples


class Truth(t.NamedTuple):
    """What is really so: the shares of the versions among the answers, and how many requests are answered."""

    shares: tuple[float, ...]
    success: float = 1.0


class Trial(t.NamedTuple):
    """A standard, what it is held against, and when to give up."""

    standard: Standard
    truths: tuple[Truth, ...]
    horizon: int  #: samples


def split(tolerance: float, *shares: float, min_success: float = 1.0) -> Standard:
    """A standard for versions that are called by their numbers."""
    expected = {str(number): share for number, share in enumerate(shares)}
    return Standard(expected, tolerance=tolerance, min_success=min_success)


VERSIONS = (
    Trial(
        split(0.1, 0.5, 0.25, 0.25),
        (Truth((0.5, 0.25, 0.25)), Truth((0.4, 0.35, 0.25)), Truth((0.5, 0.35, 0.15)), Truth((0.5, 0.5, 0))),
        4000,
    ),
    Trial(
        split(0.05, 0.7, 0.2, 0.1),
        (Truth((0.7, 0.2, 0.1)), Truth((0.65, 0.25, 0.1)), Truth((0.7, 0.15, 0.15)), Truth((0.9, 0, 0.1))),
        8000,
    ),
    Trial(
        split(0.1, 0.4, 0.3, 0.2, 0.1),
        (Truth((0.4, 0.3, 0.2, 0.1)), Truth((0.4, 0.3, 0.1, 0.2)), Truth((0.3, 0.4, 0.2, 0.1))),
        4000,
    ),
)
SUCCESS = (
    Trial(
        split(0.1, min_success=0.999),
        (Truth((), 1), Truth((), 0.9999), Truth((), 0.999), Truth((), 0.995), Truth((), 0.989), Truth((), 0.95)),
        8000,
    ),
    Trial(
        split(0.1, min_success=0.99),
        (Truth((), 1), Truth((), 0.99), Truth((), 0.98), Truth((), 0.97), Truth((), 0.9)),
        8000,
    ),
    Trial(split(0.1, min_success=0.95), (Truth((), 1), Truth((), 0.95), Truth((), 0.85), Truth((), 0.5)), 4000),
    Trial(
        split(0.1, 0.25, 0.75, min_success=0.99),
        (
            Truth((0.25, 0.75), 1),
            Truth((0.25, 0.75), 0.99),
            Truth((0.25, 0.75), 0.97),
            Truth((0.25, 0.75), 0.9),
            Truth((0.35, 0.65), 0.99),
        ),
        8000,
    ),
)
FLEETS = (1, 10, 100)
LOOKS = (1, 11, 31)  #: one, and one a second for as long as the roles let a cluster settle


def rules_of(standard: Standard, horizon: int) -> list[tuple[str, Boundaries]]:
    """What is judged, by version ("" is whether there is an answer), each as the module judges it."""
    rules = [
        (version, own(Case(share, tolerated(share, standard.tolerance), (), horizon), horizon, alpha=standard.alpha))
        for version, share in standard.judged.items()
    ]
    if standard.min_success < 1:
        case = Case(standard.min_success, standard.lossy, (), horizon)
        rules.append(("", sequential(case, horizon, alpha=standard.alpha, sides=(-1,))))
    return rules


def simulate_trial(trial: Trial, rules: Sequence[tuple[str, Boundaries]], truth: Truth, runs: int, seed: int) -> Result:
    """What becomes of so many runs: one thing that fails fails them, everything together passes them."""
    generator = np.random.default_rng([seed, *(round(share * 1e6) for share in (*truth.shares, truth.success))])
    versions = list(trial.standard.expected)
    ends = np.cumsum(truth.shares) * truth.success
    result = Result(np.zeros(runs, bool), np.zeros(runs, bool), np.full(runs, trial.horizon))
    known = {version: np.zeros(runs, dtype=np.int32) for version in ("", *versions)}
    open_runs = np.arange(runs)
    for start in range(0, trial.horizon, BLOCK):
        drawn = generator.random((len(open_runs), min(BLOCK, trial.horizon - start)), dtype=np.float32)

        def counted(version: str, drawn: Array = drawn, open_runs: Array = open_runs) -> Array:
            place = versions.index(version) if version else -1
            low = ends[place - 1] if place > 0 else 0.0
            hits = (drawn >= low) & (drawn < ends[place]) if version else drawn < truth.success
            counts = known[version][open_runs, None] + np.cumsum(hits, axis=1, dtype=np.int32)
            known[version][open_runs] = counts[:, -1]
            return counts

        total = np.arange(start + 1, start + 1 + drawn.shape[1], dtype=np.int32)
        answered = counted("") if truth.success < 1 else total
        fails, passes = np.zeros(drawn.shape, bool), np.ones(drawn.shape, bool)
        for version, rule in rules:
            counts, of = (counted(version), answered) if version else (answered, total)
            at = np.maximum(of - 1, 0)  # of no answers nothing is said
            fails |= (of > 0) & ((counts <= rule.fail_low[at]) | (counts >= rule.fail_high[at]))
            passes &= (of > 0) & (counts >= rule.pass_low[at]) & (counts <= rule.pass_high[at])
        ended = fails | passes
        at = ended.argmax(axis=1)
        rows = np.arange(len(open_runs))
        done = ended[rows, at]
        result.failed[open_runs], result.passed[open_runs] = fails[rows, at], (passes & ~fails)[rows, at]
        result.samples[open_runs[done]] = start + at[done] + 1
        open_runs = open_runs[~done]
        if not len(open_runs):
            break
    return result


def promise(standard: Standard, truth: Truth) -> t.Literal["fail", "pass"] | None:
    """Which verdict has a probability of 1% at most, if any."""
    off = max((abs(a - b) for a, b in zip(truth.shares, standard.expected.values(), strict=True)), default=0.0)
    if off < 1e-9 and truth.success >= standard.min_success:
        return "fail"
    lossy = truth.success <= standard.min_success - standard.lossy + 1e-9
    most = MOST if standard.tolerance is None else standard.tolerance
    return "pass" if lossy or off >= most - 1e-9 else None


def kept(wrong: int, runs: int) -> bool:
    """Whether a promise of 1% is not refuted: as many wrong verdicts have a probability of 0.1% or more."""
    return bool(scipy.stats.binom.sf(wrong - 1, runs, RISK) >= 0.001)


HEADER = ("expected", "true", "passes", "fails", "samples, mean", "p95", "p99", f"more than {DEFAULT_MOST}")


def _shares(shares: Sequence[float]) -> str:
    return " / ".join(f"{share * 100:g}" for share in shares) + "%"


def _words(shares: Sequence[float], success: float, tolerance: float | None) -> str:
    said = [_shares(shares) + (f" ± {tolerance * 100:g}" if tolerance is not None else "")] if shares else []
    return ", ".join([*said, *([f"{short(success)} answered"] if success < 1 or not shares else [])])


def trial_rows(trials: Sequence[Trial], runs: int, seed: int) -> tuple[str, list[str]]:
    """The table of some trials, and in words each promise that is broken."""
    rows, broken = [], []
    for trial in trials:
        standard, rules = trial.standard, rules_of(trial.standard, trial.horizon)
        for truth in trial.truths:
            result, kind = simulate_trial(trial, rules, truth, runs, seed), promise(standard, truth)
            verdicts = [percent(result.passed.mean()), percent(result.failed.mean())]
            name = [
                _words([*standard.expected.values()], standard.min_success, standard.tolerance),
                _words(truth.shares, truth.success, None),
            ]
            if kind:
                verdicts[kind == "fail"] = f"**{verdicts[kind == 'fail']}**"
                if not kept(int((result.failed if kind == "fail" else result.passed).sum()), runs):
                    broken.append(" against ".join(name))
            rows.append(
                [
                    *name,
                    *verdicts,
                    f"{result.samples.mean():.0f}",
                    *(f"{np.percentile(result.samples, at):.0f}" for at in (95, 99)),
                    percent((result.samples > DEFAULT_MOST).mean(), 1),
                ]
            )
    return table(HEADER, rows), broken


FLEET_HORIZON = 1000  #: requests of a cluster

FLEET_HEADER = (
    "clusters",
    "a false alarm with family_size 1",
    "with family_size as many",
    "samples of a good cluster, mean",
    "p99",
    "of one at 50%, mean",
    "of one at 10%, mean",
    "one at 10% passes",
)
CHUNK = 100_000  #: runs that are simulated at once


def many(rules: Sequence[Boundaries], share: float, runs: int, horizon: int, seed: int) -> list[Result]:
    """What simulate says, of more runs than are simulated at once."""
    chunks = [
        simulate(rules, share, min(CHUNK, runs - start), horizon, seed + 1000 * number)
        for number, start in enumerate(range(0, runs, CHUNK))
    ]
    return [Result(*map(np.concatenate, zip(*of_rule, strict=True))) for of_rule in zip(*chunks, strict=True)]


MANY = 10  #: how many times as many clusters as runs are simulated


def fleet_rows(case: Case, runs: int, seed: int) -> tuple[str, list[str], dict[int, float]]:
    """The table of fleets whose clusters all have a share at the edge of the tolerance, each for itself.

    With it in words each promise that is broken, and how often a fleet has a false alarm where the doubt is not shared.
    """
    rows, broken, alone = [], [], {}
    case = case._replace(horizon=min(case.horizon, FLEET_HORIZON))
    edge = case.expected + case.tolerance  # where a false alarm is likeliest
    for clusters in FLEETS:
        family = own(case, case.horizon, alpha=RISK / clusters)
        by_rule = many([own(case, case.horizon), family], edge, MANY * runs, case.horizon, seed)
        single, shared = (float(one.failed.mean()) for one in by_rule)
        good, half, low = (
            simulate([family], share, runs, case.horizon, seed)[0] for share in (case.expected, 0.5, 0.1)
        )
        if scipy.stats.binom.sf(int(by_rule[1].failed.sum()) - 1, MANY * runs, RISK / clusters) < 0.001:
            broken.append(f"a false alarm in a fleet of {clusters}")
        if not kept(int(low.passed.sum()), runs):
            broken.append(f"10% in a fleet of {clusters}")
        alone[clusters] = 1 - (1 - single) ** clusters
        rows.append(
            [
                f"{clusters}",
                percent(alone[clusters], 1),
                f"**{percent(1 - (1 - shared) ** clusters)}**",
                f"{good.samples.mean():.0f}",
                f"{np.percentile(good.samples, 99):.0f}",
                f"{half.samples.mean():.0f}",
                f"{low.samples.mean():.0f}",
                f"**{percent(low.passed.mean())}**",
            ]
        )
    return table(FLEET_HEADER, rows), broken, alone


LOOKS_HEADER = (
    "looks",
    "one at 15% passes, each look 99% sure",
    "with the doubt shared out",
    "a look is sure to",
    "samples of a good one, mean",
    "p99",
    f"more than {DEFAULT_MOST}",
)


def look_rows(case: Case, runs: int, seed: int) -> tuple[str, list[str]]:
    """The table of verdicts that are asked for again while they fail, and in words each promise that is broken."""
    rows, broken = [], []
    for looks in LOOKS:
        risk = RISK / looks
        shared = own(case, case.horizon, alpha=risk, beta=risk)
        rules = [own(case, case.horizon), shared]
        passed = many(rules, 0.15, runs * looks, case.horizon, seed)
        wrong = [one.passed.reshape(runs, looks).any(axis=1) for one in passed]
        (good,) = simulate([shared], case.expected, runs, case.horizon, seed)
        if not kept(int(wrong[1].sum()), runs):
            broken.append(f"15% in {looks} looks")
        rows.append(
            [
                f"{looks}",
                percent(wrong[0].mean(), 1),
                f"**{percent(wrong[1].mean())}**",
                percent(1 - risk),
                f"{good.samples.mean():.0f}",
                f"{np.percentile(good.samples, 99):.0f}",
                percent((good.samples > DEFAULT_MOST).mean(), 1),
            ]
        )
    return table(LOOKS_HEADER, rows), broken
