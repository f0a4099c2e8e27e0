"""The simulation behind docs/verdicts.md: it simulates the module's own rule, and what the rule promises holds."""

from __future__ import annotations

import numpy as np
import pytest
from ansible_collections.convoy.rollout.plugins.module_utils import _sequential
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from simulate import verdicts

CANARY = verdicts.CASES[0]
HORIZON = 600
RULES = {case: verdicts.sequential(case, HORIZON) for case in verdicts.CASES}


def outcome(rule: verdicts.Boundaries, count: int, total: int) -> str:
    """What the boundaries say of one look."""
    fails, passes = rule.outcomes(np.array([count]), total - 1)
    return "fail" if fails[0] else "pass" if passes[0] else "more"


@pytest.mark.parametrize("case", verdicts.CASES)
def test_boundaries_say_what_the_module_says_of_every_count(case: verdicts.Case) -> None:
    for total in [*range(1, 60), 137, 259, HORIZON]:
        for count in range(total + 1):
            said = _sequential.verdict(count, total, case.expected, case.tolerance, verdicts.RISK, verdicts.RISK)
            assert outcome(RULES[case], count, total) == said, (count, total)


@given(st.integers(0, 2**32 - 1), st.sampled_from(verdicts.CASES), st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_a_path_ends_where_the_module_ends_it(seed: int, case: verdicts.Case, share: float) -> None:
    (run,) = verdicts.simulate([RULES[case]], share, 1, HORIZON, seed)
    generator = np.random.default_rng([seed, round(share * 1e6)])
    count, said = 0, "more"
    for total in range(1, HORIZON + 1):
        if (total - 1) % verdicts.BLOCK == 0:
            answers = generator.random(min(verdicts.BLOCK, HORIZON + 1 - total), dtype=np.float32) < share
        count += int(answers[(total - 1) % verdicts.BLOCK])
        said = _sequential.verdict(count, total, case.expected, case.tolerance, verdicts.RISK, verdicts.RISK)
        if said != "more":
            break
    assert (run.samples[0], bool(run.passed[0]), bool(run.failed[0])) == (total, said == "pass", said == "fail")


@pytest.mark.parametrize("share", CANARY.shares)
def test_the_promises_hold_in_a_small_run(share: float) -> None:
    (run,) = verdicts.simulate([RULES[CANARY]], share, 1000, HORIZON, verdicts.SEED)
    assert verdicts.holds(CANARY, share, run)
    if share in (0, 0.05, 0.5, 1):
        assert run.failed.all()
    if share == CANARY.expected:
        assert run.passed.mean() > 0.95


def test_a_rule_that_looks_as_if_each_look_were_the_only_one_breaks_the_promise() -> None:
    (run,) = verdicts.simulate([verdicts.every_look(CANARY, 1000)], 0.25, 1000, 1000, verdicts.SEED)
    assert not verdicts.holds(CANARY, 0.25, run)
    assert 0.3 < run.failed.mean() < 0.42  # 36% in 20,000 runs


def test_fixed_sizes_are_the_textbooks() -> None:
    assert verdicts.fixed_size(CANARY, 0.5) == 80
    assert verdicts.fixed_size(CANARY, 0.15) == 344
    limit = stats.binom.isf(0.01, 79, 0.25)
    assert stats.binom.cdf(limit, 79, 0.5) > 0.01  # one sample fewer is not enough


def test_the_confidence_sequence_passes_inside_the_band_only() -> None:
    rule = verdicts.confidence_sequence(CANARY, HORIZON)

    def sure(count: int, share: float) -> bool:
        evidence = special.betaln(1 + count, 1 + HORIZON - count)
        return evidence - count * np.log(share) - (HORIZON - count) * np.log(1 - share) >= np.log(100)

    for count in range(HORIZON + 1):
        seen, excluded = count / HORIZON, [sure(count, share) for share in (0.15, 0.35)]
        inside = 0.15 < seen < 0.35 and all(excluded)
        outside = (seen < 0.15 and excluded[0]) or (seen > 0.35 and excluded[1])
        assert outcome(rule, count, HORIZON) == ("pass" if inside else "fail" if outside else "more"), count


def test_walds_test_errs_as_rarely_as_it_says_and_is_the_fastest() -> None:
    wald = verdicts.sprt(CANARY, 0.5, HORIZON)
    theirs, ours = verdicts.simulate([wald, RULES[CANARY]], 0.5, 1000, HORIZON, verdicts.SEED)
    assert stats.binom.sf(theirs.passed.sum() - 1, 1000, 0.01) > 0.001
    assert theirs.samples.mean() < ours.samples.mean()
