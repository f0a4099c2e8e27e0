"""What the order of answers tells: single choices, a proxy's rounds in any arrangement, connections that are kept."""

from __future__ import annotations

import itertools
from random import Random

import pytest
import scipy
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _statistics
from ansible_collections.convoy.rollout.plugins.module_utils._proof._order import _chi_square, order_of

SIDE_BY_SIDE = [(2, 6), (2, 8), (3, 6), (3, 12), (4, 8), (4, 16), (5, 10), (2, 20), (10, 40)]


def rounds(new: int, pods: int, *, apart: bool = False, others: float = 0.0, seed: int = 1) -> list[bool]:
    """Answers of a proxy that goes round `pods` endpoints, with so many other requests between two on average."""
    random, place, found = Random(seed), 0, []
    for _answer in range(1000):
        found.append((place * new) % pods < new if apart else place % pods < new)
        place += 1
        while random.random() < others / (1 + others):
            place += 1
    return found


def kept(share: float, stays: float, seed: int) -> list[bool]:
    """Answers over connections that go on to the pod of the answer before with a probability."""
    random, found = Random(seed), [False]
    while len(found) < 1000:
        found.append(found[-1] if random.random() < stays else random.random() < share)
    return found


def verdict(answers: list[bool], share: float) -> str:
    """As the module comes to it, looking after every answer."""
    standard, due = _statistics.Standard({"2": share, "1": 1 - share}), 1
    for total in range(1, len(answers) + 1):
        new = sum(answers[:total])
        if total < due or _statistics.judge({"2": new, "1": total - new}, total, standard)[0] == "inconclusive":
            continue
        order = ["2" if answer else "1" for answer in answers[:total]]
        said, _why = _statistics.judge({"2": new, "1": total - new}, total, standard, order=order)
        if said != "inconclusive":
            return said
        due = total + total // 20
    return "inconclusive"


@pytest.mark.parametrize(("new", "pods"), [*SIDE_BY_SIDE, (1, 4), (1, 2)])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("others", [0.0, 0.5, 2.0])
def test_rounds_pass_where_the_share_is_right(new: int, pods: int, apart: bool, others: float) -> None:
    assert verdict(rounds(new, pods, apart=apart, others=others), new / pods) == "pass"


@pytest.mark.parametrize(("new", "pods"), [(4, 8), (8, 16), (10, 20), (2, 4), (3, 4)])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("others", [0.0, 0.5, 2.0])
def test_rounds_fail_where_the_share_is_wrong(new: int, pods: int, apart: bool, others: float) -> None:
    assert verdict(rounds(new, pods, apart=apart, others=others), 0.25) == "fail"


def test_too_regular_and_too_alike_are_told_apart() -> None:
    assert order_of(rounds(1, 4)).pattern == "turns"
    for new, pods in SIDE_BY_SIDE:
        order = order_of(rounds(new, pods)[: 10 * pods])
        assert order.inflation == 1.0, (new, pods)
    assert order_of(rounds(4, 16)).pattern == "turns"
    order = order_of(kept(0.25, 0.8, 1))
    assert order.pattern == "alike"
    assert 60 < order.worth(1000) < 200  # a tenth of them chose
    random = Random(4)
    single = [order_of([random.random() < 0.25 for _answer in range(300)]) for _run in range(200)]
    assert sum(each.pattern != "single" for each in single) <= 5
    assert max(each.inflation for each in single) < 1.8


@pytest.mark.parametrize("stays", [0.1, 0.3, 0.5, 0.7])
def test_kept_connections_do_not_make_a_right_share_fail(stays: float) -> None:
    said = [verdict(kept(0.25, stays, seed), 0.25) for seed in range(15)]
    assert "fail" not in said


def test_nothing_and_all_alike_tell_nothing() -> None:
    for answers in ([], [True], [True] * 50, [False] * 50):
        assert order_of(answers) == ("single", 1.0)
    assert order_of([True] * 50 + [False] * 50).worth(100) == 1


def test_the_quantile_is_nearly_scipys() -> None:
    for freedom in itertools.chain(range(7, 40), (100, 300)):
        assert _chi_square(freedom) == pytest.approx(scipy.stats.chi2.ppf(0.01, freedom), rel=0.05)
