"""Whole runs: pauses of hours, traffic that is no coin toss, small weights, lost requests, slow answers."""

from __future__ import annotations

import hashlib
import json
import math
import typing as t
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import scipy
from ansible_collections.convoy.rollout.plugins.module_utils._operations._version_distribution import AGAIN
from ansible_collections.convoy.rollout.plugins.module_utils._proof import (
    _change,
    _order,
    _pausing,
    _sequential,
    _statistics,
)
from simulate.rules import RISK, Array, Case, own, sequential, simulate
from simulate.tables import percent, short, table

SLICE, RATE = 10, 10  #: seconds, and requests a second, of a pause
HOUR, DAY = 360, 8640  #: slices
BLOCK = 2000  #: runs of a pause that are simulated at once


def kept(wrong: int, runs: int, risk: float = RISK) -> bool:
    """Whether a promise is not refuted: as many wrong verdicts have a probability of 0.1% or more."""
    return bool(scipy.stats.binom.sf(wrong - 1, runs, risk) >= 0.001)


CACHE = Path(__file__).resolve().parents[2] / ".cache" / "simulate"
SOURCES = (_order, _sequential, _statistics, _pausing, _change)  #: what a row that was simulated before depends on

Row = t.TypeVar("Row")


def cached(name: str, runs: int, seed: int, simulated: Callable[[], list[Row]]) -> list[Row]:
    """What a row comes to, simulated once for each state of the sources: some of them take a minute."""
    sources = [Path(str(module.__file__)).read_bytes() for module in SOURCES] + [Path(__file__).read_bytes()]
    known = hashlib.sha256(b"".join(sources) + f"{name} {runs} {seed}".encode()).hexdigest()
    file = CACHE / f"{known}.json"
    if not file.exists():
        found = simulated()
        CACHE.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
    return t.cast("list[Row]", json.loads(file.read_text(encoding="utf-8")))


# -- pauses ------------------------------------------------------------------------------------------------------------


class Watch(t.NamedTuple):
    """One test of _change, as tables: by how much a slice with so many of `total` changes the evidence."""

    gains: Array  #: by alternative and count
    slices: int
    limit: float

    def ends(self, counts: Array) -> Array:
        """In which slice (from 1 on) each run ends, by its counts (runs, slices); 0 where it does not."""
        runs, slices = counts.shape
        ended = np.zeros(runs, dtype=np.int64)
        evidence = np.zeros((len(self.gains), runs))
        going = np.arange(runs)
        for number in range(slices):
            evidence = (evidence + 1 / self.slices) * self.gains[:, counts[going, number]]
            sure = evidence.mean(axis=0) >= self.limit
            if sure.any():
                ended[going[sure]] = number + 1
                going, evidence = going[~sure], evidence[:, ~sure]
                if not len(going):
                    break
        return ended


def watch(most: float, alternatives: Sequence[float], slices: int, alpha: float, total: int = SLICE * RATE) -> Watch:
    """The test of _change.Change, of slices with `total` requests each."""
    counts = np.arange(total + 1)
    with np.errstate(divide="ignore"):
        gains = [
            np.exp(
                counts * math.log(other / most)
                + np.where(counts < total, np.maximum(total - counts, 1) * (np.log1p(-other) - math.log1p(-most)), 0.0)
            )
            for other in alternatives
        ]
    return Watch(np.array(gains), slices, 1 / alpha)


def share_watches(expected: float, tolerance: float, slices: int, alpha: float) -> tuple[Watch, Watch]:
    """The tests of _change.Share, below and above; the first is of the answers of others."""
    low, high = _sequential.edges(expected, tolerance)
    return (
        watch(1 - low, _sequential.beyond(1 - low, tolerance), slices, alpha / 2),
        watch(high, _sequential.beyond(high, tolerance), slices, alpha / 2),
    )


Truth = Callable[[np.random.Generator, int, int], Array]  #: the share in each slice (runs, slices), or of all


def constant(share: float) -> Truth:
    """A share that stays."""
    return lambda _generator, _runs, _slices: np.array(share)


def turning(before: float, after: float) -> Truth:
    """A share that turns after half of the pause."""

    def truth(_generator: np.random.Generator, _runs: int, slices: int) -> Array:
        return np.where(np.arange(slices) < slices // 2, before, after)[None, :]

    return truth


def wandering(low: float, high: float) -> Truth:
    """A share that goes about between two others, a step each slice."""

    def truth(generator: np.random.Generator, runs: int, slices: int) -> Array:
        steps = generator.normal(0, (high - low) / 20, (runs, slices)).cumsum(axis=1)
        folded = np.abs((steps + (high - low) / 2) % (2 * (high - low)) - (high - low))
        return low + folded

    return truth


def paused(expected: float, tolerance: float, slices: int, alpha: float, truth: Truth, runs: int, seed: int) -> Array:
    """In which slice each of so many pauses ends because of its share; 0 where it does not."""
    below, above = share_watches(expected, tolerance, slices, alpha)
    generator, total, ends = np.random.default_rng([seed, slices, round(expected * 1e6)]), SLICE * RATE, []
    for start in range(0, runs, BLOCK):
        number = min(BLOCK, runs - start)
        counts = generator.binomial(total, truth(generator, number, slices), (number, slices)).astype(np.int16)
        by_side = [below.ends(total - counts), above.ends(counts)]
        never = np.iinfo(np.int64).max
        first = np.minimum(*(np.where(ended > 0, ended, never) for ended in by_side))
        ends.append(np.where(first == never, 0, first))
    return np.concatenate(ends)


PAUSES: tuple[tuple[float, float, int, str, Truth], ...] = (
    (0.25, 0.1, HOUR, "25%", constant(0.25)),
    (0.25, 0.1, HOUR, "30%", constant(0.3)),
    (0.25, 0.1, HOUR, "35%, the edge", constant(0.35)),
    (0.25, 0.1, HOUR, "15%, the edge", constant(0.15)),
    (0.25, 0.1, HOUR, "wanders between 15 and 35%", wandering(0.15, 0.35)),
    (0.05, 0.025, HOUR, "5%", constant(0.05)),
    (0.01, 0.005, HOUR, "1%", constant(0.01)),
    (0.5, 0.1, HOUR, "50%", constant(0.5)),
    (0.25, 0.1, DAY, "25%", constant(0.25)),
    (0.25, 0.1, DAY, "35%, the edge", constant(0.35)),
)
TURNS = (0.0, 0.05, 0.1, 0.4, 0.45, 0.5, 0.75, 1.0)


def pause_rows(runs: int, seed: int) -> tuple[str, str, list[str]]:
    """The tables of pauses that are right, and of those that turn; in words each promise that is broken."""
    rows, broken, alpha = [], [], RISK / 3
    for expected, tolerance, slices, name, truth in PAUSES:
        (wrong,) = cached(
            f"pause {expected} {tolerance} {slices} {name}",
            runs,
            seed,
            lambda case=(expected, tolerance, slices), truth=truth: [
                int((paused(*case, alpha, truth, runs, seed) > 0).sum())
            ],
        )
        long = f"{slices * SLICE // 3600} h"
        if not kept(wrong, runs):
            broken.append(f"a pause of {long} at {name}")
        rows.append([f"{short(expected)} ± {tolerance * 100:g}", long, name, f"**{percent(wrong / runs)}**"])
    right = table(("expected", "pause", "true share", "ends"), rows)
    turned = []
    for share in TURNS:
        cells = [short(share)]
        for slices in (HOUR, DAY):
            # A pause of a day is simulated for as long as it takes after its middle, which changes nothing before it.
            begun = min(slices // 2, HOUR // 2)
            below, above = share_watches(0.25, 0.1, slices, alpha)
            delays, missed = delay(below, above, share, begun, runs, seed)
            cells += [f"{delays.mean():.0f} s", f"{np.percentile(delays, 95):.0f} s", percent(missed, 1)]
        turned.append(cells)
    header = ("turns to", *(f"{long}: {what}" for long in ("1 h", "24 h") for what in ("mean", "p95", "not found")))
    return right, table(header, turned), broken


def delay(below: Watch, above: Watch, share: float, begun: int, runs: int, seed: int) -> tuple[Array, float]:
    """Seconds until what turned after `begun` slices is found, and how often it is not within half an hour."""
    generator, total, most = np.random.default_rng([seed, round(share * 1e6)]), SLICE * RATE, HOUR // 2
    found = []
    for start in range(0, runs, BLOCK):
        number = min(BLOCK, runs - start)
        shares = np.where(np.arange(begun + most) < begun, 0.25, share)[None, :]
        counts = generator.binomial(total, shares, (number, begun + most)).astype(np.int16)
        never = np.iinfo(np.int64).max
        by_side = (below.ends(total - counts), above.ends(counts))
        first = np.minimum(*(np.where(ended > 0, ended, never) for ended in by_side))
        found.append(np.where(first == never, 0, np.maximum(first - begun, 1)))
    ends = np.concatenate(found)
    there = ends[ends > 0] * SLICE
    return (there if len(there) else np.array([math.nan])), float((ends == 0).mean())


# -- lost requests and slow answers of a pause -------------------------------------------------------------------------


def losing_rows(runs: int, seed: int) -> tuple[str, list[str]]:
    """The table of pauses that lose requests."""
    generator, rows, broken, total = np.random.default_rng(seed), [], [], SLICE * RATE
    for most, lost, slices in (
        (0.001, 0.0001, HOUR),
        (0.001, 0.001, HOUR),
        (0.001, 0.0001, DAY),
        (0.001, 0.011, HOUR),
        (0.001, 0.03, HOUR),
        (0.001, 0.1, HOUR),
        (0.02, 0.02, HOUR),
        (0.02, 0.05, HOUR),
    ):
        alternatives = [min(1.0, most + more) for more in _pausing.MORE] + [1.0]
        test, ends = watch(most, alternatives, slices, RISK / 3), []
        for start in range(0, runs, BLOCK):
            ends.append(test.ends(generator.binomial(total, lost, (min(BLOCK, runs - start), slices)).astype(np.int16)))
        ended = np.concatenate(ends)
        wrong = percent((ended > 0).mean())
        if lost <= most:
            wrong = f"**{wrong}**"
            if not kept(int((ended > 0).sum()), runs):
                broken.append(f"a pause that loses {short(lost)} of {short(most)}")
        times = ended[ended > 0] * SLICE
        mean = f"{times.mean():.0f} s" if len(times) and lost > most else ""
        rows.append([short(most), short(lost), f"{slices * SLICE // 3600} h", wrong, mean])
    return table(("may be lost", "is lost", "pause", "ends", "after, mean"), rows), broken


def slow_rows(runs: int, seed: int) -> tuple[str, list[str]]:
    """The table of one look at how fast answers are."""
    rows, broken = [], []
    case = Case(1 - _statistics.SLOW, _statistics.SLOWER - _statistics.SLOW, (), 4000)
    rule = sequential(case, case.horizon, sides=(-1,), alpha=RISK)
    for slow in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1):
        (result,) = simulate([rule], 1 - slow, runs, case.horizon, seed)
        passes, fails = percent(result.passed.mean()), percent(result.failed.mean())
        wrong = result.failed if slow <= _statistics.SLOW else result.passed if slow >= _statistics.SLOWER else None
        if wrong is not None and not kept(int(wrong.sum()), runs):
            broken.append(f"{short(slow)} slow answers")
        if slow <= _statistics.SLOW:
            fails = f"**{fails}**"
        if slow >= _statistics.SLOWER:
            passes = f"**{passes}**"
        at = [f"{result.samples.mean():.0f}", *(f"{np.percentile(result.samples, p):.0f}" for p in (95, 99))]
        rows.append([short(slow), passes, fails, *at])
    return table(("slow answers", "passes", "fails", "answers, mean", "p95", "p99"), rows), broken


# -- traffic that is no coin toss --------------------------------------------------------------------------------------

MOST = 1000  #: requests of one look
Traffic = Callable[[np.random.Generator, int], Array]  #: answers (runs, MOST), whether they are the canary's


def rounds(new: int, pods: int, others: float, *, apart: bool = False) -> Traffic:
    """A proxy that goes round its endpoints, with so many other requests between two on average (Poisson)."""

    def traffic(generator: np.random.Generator, runs: int) -> Array:
        steps = 1 + generator.poisson(others, (runs, MOST))
        place = (generator.integers(0, pods, (runs, 1)) + steps.cumsum(axis=1)) % pods
        return (place * new) % pods < new if apart else place < new

    return traffic


def alike(share: float, correlation: float) -> Traffic:
    """Answers that are as the one before with a probability, as over connections that are kept."""

    def traffic(generator: np.random.Generator, runs: int) -> Array:
        chooses = generator.random((runs, MOST)) >= correlation
        chooses[:, 0] = True
        chosen = generator.random((runs, MOST)) < share
        last = np.maximum.accumulate(np.where(chooses, np.arange(MOST), 0), axis=1)
        return np.take_along_axis(chosen, last, axis=1)

    return traffic


def late(share: float, none: int) -> Traffic:
    """A canary that gets nothing for the first answers, and its share then."""

    def traffic(generator: np.random.Generator, runs: int) -> Array:
        answers = generator.random((runs, MOST)) < share
        answers[:, :none] = False
        return answers

    return traffic


def looked(traffic: Traffic, expected: float, runs: int, seed: int) -> tuple[Array, Array, Array]:
    """Whether each of so many looks fails and passes, and after how many answers, with their order looked at."""
    tolerance = _statistics.tolerated(expected, None)
    rule = own(Case(expected, tolerance, (), MOST), MOST)
    generator = np.random.default_rng([seed, round(expected * 1e6)])
    failed, passed, samples = np.zeros(runs, bool), np.zeros(runs, bool), np.full(runs, MOST)
    for start in range(0, runs, BLOCK):
        answers = traffic(generator, min(BLOCK, runs - start))
        fails, passes = rule.outcomes(answers.cumsum(axis=1), 0)
        for number in range(len(answers)):
            said, at = _one(answers[number], np.flatnonzero(fails[number] | passes[number]), expected, tolerance)
            if said != "more":
                failed[start + number], passed[start + number] = said == "fail", said == "pass"
                samples[start + number] = at
    return failed, passed, samples


def _summary(looks: tuple[Array, Array, Array]) -> list[float]:
    """How many fail and pass, and how many samples they take on average."""
    failed, passed, samples = looks
    return [float(failed.sum()), float(passed.sum()), float(samples.mean())]


def _one(answers: Array, ends: Array, expected: float, tolerance: float) -> tuple[str, int]:
    """What becomes of one look; `ends` are the answers after which it would end if each were a choice of its own."""
    due, listed = 0, answers.tolist()
    for end in ends:
        total = int(end) + 1
        if total < due:
            continue
        order = _order.order_of(listed[:total])
        count = sum(listed[:total]) / order.inflation
        said = _sequential.share(count, total / order.inflation, expected, tolerance, RISK, RISK)
        if said != "more":
            return said, total
        due = math.ceil(total * AGAIN)
    return "more", MOST


def _traffics() -> list[tuple[str, str, float, Traffic, str]]:
    """What the answers are like, their true share, what is expected, and which verdict must be rare."""
    rows = []
    for new, pods, others in (
        (1, 4, 0.0),
        (2, 8, 0.0),
        (4, 16, 0.0),
        (4, 16, 0.5),
        (4, 16, 2.0),
        (4, 16, 16.0),
        (10, 40, 0.0),
    ):
        between = f", {others:g} others between" if others else ""
        rows.append((f"rounds, {new} of {pods} side by side{between}", "25%", 0.25, rounds(new, pods, others), "fail"))
    rows.append(("rounds, 4 of 16 apart", "25%", 0.25, rounds(4, 16, 0.0, apart=True), "fail"))
    rows.append(("rounds, 4 of 16 apart, 2 others between", "25%", 0.25, rounds(4, 16, 2.0, apart=True), "fail"))
    rows.append(("rounds, 8 of 16 side by side", "50%", 0.25, rounds(8, 16, 0.0), "pass"))
    rows.append(("rounds, 8 of 16 side by side, 2 others between", "50%", 0.25, rounds(8, 16, 2.0), "pass"))
    rows.append(("rounds, 2 of 16 apart", "12.5%", 0.25, rounds(2, 16, 0.0, apart=True), "pass"))
    for correlation in (0.0, 0.1, 0.3, 0.5, 0.7):
        rows.append((f"as the one before, r = {correlation:g}", "25%", 0.25, alike(0.25, correlation), "fail"))
    rows.append(("as the one before, r = 0.1", "35%", 0.25, alike(0.35, 0.1), "pass"))
    rows.append(("nothing for the first 20", "25%", 0.25, late(0.25, 20), "fail"))
    return rows


DEPENDENT = 0.02  #: what is promised where answers depend on each other, as how much they do is estimated too


def traffic_rows(runs: int, seed: int) -> tuple[str, list[str]]:
    """The table of traffic that is no coin toss, and in words each promise that is broken."""
    rows, broken = [], []
    for name, true, expected, traffic, rare in _traffics():
        failed, passed, samples = cached(
            f"{name} {true} {expected}",
            runs,
            seed,
            lambda traffic=traffic, expected=expected: _summary(looked(traffic, expected, runs, seed)),
        )
        cells = {"pass": percent(passed / runs), "fail": percent(failed / runs)}
        cells[rare] = f"**{cells[rare]}**"
        risk = DEPENDENT if name.startswith("as the one") else RISK
        if not kept(round(passed if rare == "pass" else failed), runs, risk):
            broken.append(f"{name} at {true}")
        open_runs = percent(1 - (failed + passed) / runs, 1)
        rows.append([name, true, cells["pass"], cells["fail"], open_runs, f"{samples:.0f}"])
    header = ("answers", "true share", "passes", "fails", f"inconclusive at {MOST}", "requests, mean")
    return table(header, rows), broken


# -- small weights -----------------------------------------------------------------------------------------------------

SMALL = (0.01, 0.02, 0.05)


def small_rows(runs: int, seed: int) -> tuple[str, list[str]]:
    """The table of small weights with the tolerance that follows them."""
    rows, broken = [], []
    for weight in SMALL:
        tolerance = _statistics.tolerated(weight, None)
        standard = _statistics.Standard({"2": weight, "1": 1 - weight})
        said = _statistics.needed(standard)
        case = Case(weight, tolerance, (), 2 * said)
        rule = own(case, case.horizon)
        for share in (0.0, weight / 2, weight, 1.5 * weight, 2 * weight):
            (result,) = simulate([rule], share, runs, case.horizon, seed)
            cells = [percent(result.passed.mean()), percent(result.failed.mean())]
            if share == weight:
                bound = result.failed
                cells[1] = f"**{cells[1]}**"
            else:
                bound = result.passed
                cells[0] = f"**{cells[0]}**"
            if not kept(int(bound.sum()), runs):
                broken.append(f"{short(weight)} against {short(share)}")
            within = percent(((result.passed | result.failed) & (result.samples <= said)).mean(), 1)
            rows.append(
                [
                    f"{short(weight)} ± {tolerance * 100:g}",
                    short(share),
                    *cells,
                    f"{result.samples.mean():.0f}",
                    within,
                    f"{said}",
                ]
            )
    header = ("expected", "true", "passes", "fails", "requests, mean", "settled within those said", "said beforehand")
    return table(header, rows), broken
