# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which shares of the traffic a canary can take with whole replicas. Pure functions.

A Service spreads connections evenly over its ready endpoints, so a share is a number of replicas among all.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass
from fractions import Fraction

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Split:
    """So many replicas of the canary and so many of stable."""

    canary: int
    stable: int

    @property
    def share(self) -> Fraction:
        """The canary's share of the traffic, 0..1."""
        return Fraction(self.canary, self.canary + self.stable)

    def __str__(self) -> str:
        return f"{self.canary} of {self.canary + self.stable} pods gives {percent(self.share)}"


def weight_of(number: t.Any) -> Fraction:
    """A weight in percent, such as 25 or 12.5, as a share 0..1. Raises ValueError."""
    share = Fraction(str(number)) / 100
    if not 0 <= share <= 1:
        raise ValueError(f"{number} is not from 0 to 100")
    return share


def percent(share: Fraction) -> str:
    """A share (0..1) as people write it."""
    number = float(share * 100)
    return f"{round(number, 1):g}%" if number >= 1 else f"{number:.2g}%"


def reachable(replicas: int) -> list[Split]:
    """Every split beside `replicas` replicas of stable, by rising share.

    There are never fewer replicas than without a canary: up to half of the traffic the canary grows beside a
    whole stable, beyond that stable shrinks beside a canary of `replicas`. The last one has no stable left.
    """
    grown = [Split(canary, replicas) for canary in range(1, replicas + 1)]
    return grown + [Split(replicas, stable) for stable in range(replicas - 1, -1, -1)]


def nearest(weight: Fraction, replicas: int) -> Split:
    """The split whose share is nearest to a weight (0..1), the smaller one of two; only 1 leaves no stable."""
    splits = reachable(replicas)
    if weight == 1:
        return splits[-1]
    return min(splits[:-1], key=lambda split: (abs(split.share - weight), split.share))


def exact(weight: Fraction, replicas: int) -> Split:
    """The smallest split that gives a weight (0..1) exactly beside no fewer than `replicas` replicas of stable."""
    canary, stable = weight.numerator, weight.denominator - weight.numerator
    times = max(1, math.ceil(Fraction(replicas, max(canary, stable))))
    return Split(canary * times, stable * times)


def missed(weight: Fraction, split: Split, replicas: int) -> str:
    """What is reachable in the place of a weight, and what the weight would need."""
    wanted = exact(weight, replicas)
    more = max(wanted.canary, wanted.stable) - replicas
    return (
        f"{split}; {percent(weight)} needs {wanted.stable} stable and {wanted.canary} canary, {more} more stable "
        f"{'pod' if more == 1 else 'pods'}{'' if weight <= HALF else ' to begin with'}"
    )
