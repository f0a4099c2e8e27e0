"""The running tests of a pause: what they promise over all of it, and how soon they find what turned wrong."""

from __future__ import annotations

import math
from random import Random

import pytest
import scipy
from ansible_collections.convoy.rollout.plugins.module_utils._proof._change import Change, Share
from hypothesis import given, settings
from hypothesis import strategies as st

SLICES, ANSWERS = 360, 100  #: of an hour


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.floats(0.01, 0.5))
@settings(max_examples=60)
def test_the_evidence_is_the_mixture_over_all_beginnings(counts: list[int], most: float) -> None:
    others, slices = (most + 0.3, 1.0), 12
    change = Change(slices, 0.01)
    for count in counts:
        sure = change.add(count, 20, most, others)

    def ratio(begin: int, share: float) -> float:
        seen, total = sum(counts[begin:]), 20 * len(counts[begin:])
        return float(scipy.stats.binom.logpmf(seen, total, share) - scipy.stats.binom.logpmf(seen, total, most))

    terms = [ratio(begin, share) for begin in range(len(counts)) for share in others]
    evidence = scipy.special.logsumexp([term for term in terms if math.isfinite(term)] or [-math.inf])
    assert sure == (evidence - math.log(slices * len(others)) >= math.log(100))


def binomial(random: Random, share: float) -> int:
    return sum(random.random() < share for _answer in range(ANSWERS))


@pytest.mark.parametrize("slices", [SLICES, 8640])
def test_what_is_right_on_average_never_ends_a_pause(slices: int) -> None:
    for share in (0.15, 0.25, 0.35):
        watch = Share(slices, 0.01)
        assert not any(watch.add(share * ANSWERS, ANSWERS, 0.25, 0.1) for _slice in range(slices))


@pytest.mark.parametrize("share", [0.1500001, 0.25, 0.3499999])
def test_no_pause_is_ended_more_often_than_was_stated(share: float) -> None:
    random, runs, ended = Random(5), 60, 0
    for _run in range(runs):
        watch = Share(60, 0.1)
        ended += any(watch.add(binomial(random, share), ANSWERS, 0.25, 0.1) for _slice in range(60))
    assert ended <= scipy.stats.binom.isf(1e-6, runs, 0.1)


@pytest.mark.parametrize(("share", "within"), [(0.0, 2), (0.45, 12), (0.5, 6), (0.75, 2), (1.0, 1)])
@pytest.mark.parametrize("slices", [SLICES, 8640])
def test_what_turns_wrong_after_half_of_a_pause_is_found_soon(share: float, within: int, slices: int) -> None:
    watch = Share(slices, 0.01)
    for _slice in range(slices // 2):
        assert not watch.add(25, ANSWERS, 0.25, 0.1)
    found = next(number for number in range(1, 100) if watch.add(share * ANSWERS, ANSWERS, 0.25, 0.1))
    assert found <= within


def test_a_pause_that_goes_on_beyond_its_time_is_not_asked_more_often() -> None:
    change = Change(2, 0.01)
    change.add(0, 10, 0.1, (0.5,))
    change.add(0, 10, 0.1, (0.5,))
    assert not change.add(4, 10, 0.1, (0.5,))  # begun now with what is left of its weight: nothing
    fresh = Change(1, 0.01)
    assert fresh.add(6, 10, 0.1, (0.5,))
