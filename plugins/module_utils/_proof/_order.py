# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the order of answers says of how they come about: one by one, in turns, or each as the one before. Pure.

A share that is seen in n answers varies by p (1 - p) D / n. D is 1 where each answer is a choice of its own. Where like
answers follow each other over connections that are kept, or because clients stick to what they got, D = (1 + r) /
(1 - r), r being the correlation of neighbours, and n answers are worth n / D of their own (M. S. Bartlett, 1946). Where
a proxy goes round its endpoints, neighbours are alike as well if the endpoints of a version stand side by side, but the
share hardly varies, as each round has all of them. The two are told apart by counting in windows that are longer than
the neighbours are alike: their counts vary by w p (1 - p) D(w).
"""

from __future__ import annotations

import itertools
import math
import typing as t

WINDOWS = 8  #: the least number of windows whose counts are compared
LONGEST = 512  #: answers of the longest window
SURE = -2.326  #: the quantile of the normal distribution that is undercut in 1 of 100

Pattern = t.Literal["single", "turns", "alike"]


class Order(t.NamedTuple):
    """How the answers of a version lie among the others."""

    pattern: Pattern
    inflation: float  #: how many answers are worth one choice of its own, 1 or more

    def worth(self, total: int) -> int:
        """How many choices of their own so many answers are worth."""
        return math.floor(total / self.inflation)


def order_of(answers: t.Sequence[bool]) -> Order:
    """What can be told of answers, one after the other, by whether they are from the version in question."""
    total, ones = len(answers), sum(answers)
    if not 0 < ones < total:
        return Order("single", 1.0)
    changes = sum(one != other for one, other in zip(answers, answers[1:]))
    likely = 2 * ones * (total - ones) / total  # changes where each is a choice of its own, nearly
    correlation = 1 - changes / likely
    strange = 3 / math.sqrt(total)  # of single choices, more in 1 of 370 either way
    if correlation <= 0:
        return Order("turns" if correlation < -strange else "single", 1.0)
    inflation = (1 + correlation) / max(1e-9, 1 - correlation)
    least = _least(answers, ones / total, math.ceil(2 * inflation))
    if least < 1:
        return Order("turns" if correlation > strange else "single", 1.0)
    return Order("alike" if correlation > strange else "single", min(inflation, least))


def _least(answers: t.Sequence[bool], share: float, shortest: int) -> float:
    """The least D(w), of which it is sure that it is not greater, over windows of at least so many answers."""
    so_far = list(itertools.accumulate(answers, initial=0))
    found = math.inf
    for width in range(max(2, shortest), min(LONGEST, len(answers) // WINDOWS) + 1):
        ends = so_far[::width]
        windows = len(ends) - 1
        mean = ends[-1] / windows
        spread = sum((after - before - mean) ** 2 for before, after in zip(ends, ends[1:]))
        found = min(found, spread / (width * share * (1 - share)) / _chi_square(windows - 1))
        if found < 1:
            break
    return found


def _chi_square(freedom: int) -> float:
    """What a chi-square variable undercuts in 1 of 100 (E. B. Wilson, M. M. Hilferty, 1931)."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + SURE * math.sqrt(part)) ** 3
