"""The simulation behind docs/verdicts.md: it simulates the module's own rule, and what the rule promises holds."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _sequential
from ansible_collections.convoy.rollout.plugins.module_utils._proof._statistics import judge
from hypothesis import given, settings
from hypothesis import strategies as st
from simulate import rules, together, verdicts

CANARY = verdicts.CASES[0]
HORIZON = 600
RULES = {case: rules.own(case, HORIZON) for case in verdicts.CASES}


def outcome(rule: rules.Boundaries, count: int, total: int) -> str:
    """What the boundaries say of one look."""
    fails, passes = rule.outcomes(np.array([count]), total - 1)
    return "fail" if fails[0] else "pass" if passes[0] else "more"


def _said(count: int, total: int, case: rules.Case) -> str:
    """What the module says of one look."""
    said = _sequential.share(count, total, case.expected, case.tolerance, rules.RISK, rules.RISK)
    return "more" if said == "fail" and total < rules.LEAST else said


@pytest.mark.parametrize("case", verdicts.CASES)
def test_boundaries_say_what_the_module_says_of_every_count(case: rules.Case) -> None:
    for total in [*range(1, 60), 137, 259, HORIZON]:
        for count in range(total + 1):
            said = _said(count, total, case)
            assert outcome(RULES[case], count, total) == said, (count, total)


@given(st.integers(0, 2**32 - 1), st.sampled_from(verdicts.CASES), st.floats(0, 1))
@settings(max_examples=25)
def test_a_path_ends_where_the_module_ends_it(seed: int, case: rules.Case, share: float) -> None:
    (run,) = rules.simulate([RULES[case]], share, 1, HORIZON, seed)
    generator = np.random.default_rng([seed, round(share * 1e6)])
    count, said = 0, "more"
    for total in range(1, HORIZON + 1):
        if (total - 1) % rules.BLOCK == 0:
            answers = generator.random(min(rules.BLOCK, HORIZON + 1 - total), dtype=np.float32) < share
        count += int(answers[(total - 1) % rules.BLOCK])
        said = _said(count, total, case)
        if said != "more":
            break
    assert (run.samples[0], bool(run.passed[0]), bool(run.failed[0])) == (total, said == "pass", said == "fail")


@pytest.mark.parametrize("share", CANARY.shares)
def test_the_promises_hold_in_a_small_run(share: float) -> None:
    (run,) = rules.simulate([RULES[CANARY]], share, 1000, HORIZON, verdicts.SEED)
    assert rules.holds(CANARY, share, run)
    if share in (0, 0.05, 0.5, 1):
        assert run.failed.all()
    if share == CANARY.expected:
        assert run.passed.mean() > 0.95


def test_a_rule_that_looks_as_if_each_look_were_the_only_one_breaks_the_promise() -> None:
    (run,) = rules.simulate([rules.every_look(CANARY, 1000)], 0.25, 1000, 1000, verdicts.SEED)
    assert not rules.holds(CANARY, 0.25, run)
    assert 0.3 < run.failed.mean() < 0.42  # 36% in 20,000 runs


def test_fixed_sizes_are_the_textbooks() -> None:
    assert rules.fixed_size(CANARY, 0.5) == 80
    assert rules.fixed_size(CANARY, 0.15) == 344
    limit = scipy.stats.binom.isf(0.01, 79, 0.25)
    assert scipy.stats.binom.cdf(limit, 79, 0.5) > 0.01  # one sample fewer is not enough


def test_the_confidence_sequence_passes_inside_the_band_only() -> None:
    rule = rules.confidence_sequence(CANARY, HORIZON)

    def sure(count: int, share: float) -> bool:
        evidence = scipy.special.betaln(1 + count, 1 + HORIZON - count)
        return evidence - count * np.log(share) - (HORIZON - count) * np.log(1 - share) >= np.log(100)

    for count in range(HORIZON + 1):
        seen, excluded = count / HORIZON, [sure(count, share) for share in (0.15, 0.35)]
        inside = 0.15 < seen < 0.35 and all(excluded)
        outside = (seen < 0.15 and excluded[0]) or (seen > 0.35 and excluded[1])
        assert outcome(rule, count, HORIZON) == ("pass" if inside else "fail" if outside else "more"), count


def test_walds_test_errs_as_rarely_as_it_says_and_is_the_fastest() -> None:
    wald = rules.sprt(CANARY, 0.5, HORIZON)
    theirs, ours = rules.simulate([wald, RULES[CANARY]], 0.5, 1000, HORIZON, verdicts.SEED)
    assert scipy.stats.binom.sf(theirs.passed.sum() - 1, 1000, 0.01) > 0.001
    assert theirs.samples.mean() < ours.samples.mean()


@pytest.mark.parametrize("trial", [*together.VERSIONS, *together.SUCCESS])
def test_several_things_are_judged_as_the_module_judges_them(trial: together.Trial) -> None:
    judged = together.rules_of(trial.standard, HORIZON)
    for seed, truth in enumerate(trial.truths):
        (run,) = [together.simulate_trial(trial._replace(horizon=HORIZON), judged, truth, 1, seed)]
        generator = np.random.default_rng([seed, *(round(share * 1e6) for share in (*truth.shares, truth.success))])
        ends, versions = np.cumsum(truth.shares) * truth.success, list(trial.standard.expected)
        counts, said = dict.fromkeys([*versions, ""], 0), "inconclusive"
        for total in range(1, HORIZON + 1):
            if (total - 1) % rules.BLOCK == 0:
                drawn = generator.random((1, min(rules.BLOCK, HORIZON + 1 - total)), dtype=np.float32)[0]
            one = drawn[(total - 1) % rules.BLOCK]
            if one < truth.success:
                counts[versions[int((one >= ends).sum())] if versions else ""] += 1
            said, _why = judge(counts, total, trial.standard)
            if said != "inconclusive":
                break
        assert (run.samples[0], bool(run.passed[0]), bool(run.failed[0])) == (total, said == "pass", said == "fail")


def test_what_is_promised_of_several_things_holds_in_a_small_run() -> None:
    for trials in (together.VERSIONS, together.SUCCESS):
        _table, broken = together.trial_rows(trials, 300, verdicts.SEED)
        assert not broken


def test_a_fleet_shares_the_doubt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "FLEETS", (1, 40))
    _table, broken, alone = together.fleet_rows(CANARY._replace(horizon=HORIZON), 150, verdicts.SEED)
    assert not broken
    # Without it they do not keep the promise.
    assert scipy.stats.binom.sf(round(alone[40] * 150) - 1, 150, 0.01) < 0.001
