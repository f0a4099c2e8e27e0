# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether something that was right turns wrong, at whatever time of a watch. Pure: counts in, a decision out.

A watch of K slices asks after each of them whether what may happen with the probability p0 at most happens more often
by now, since any one of the slices. For each beginning k and each alternative q > p0 there is the likelihood ratio of
the slices from k on, L_k:n(q). The evidence is their mixture, each beginning weighed 1/K, and each alternative w_q:

    M_n = sum_q w_q sum_{k <= n} L_k:n(q) / K        with R_n(q) = (R_{n-1}(q) + 1/K) L_n(q)

so that a number for each alternative is all that has to be kept. With what is left of the weights, M_n + (K - n) / K is
a supermartingale that begins at 1 for as long as no slice has more than p0, whatever else it does, so by Ville's
inequality M_n reaches 1 / alpha in the whole watch with a probability of at most alpha. It is the Shiryaev-Roberts
procedure with the weights of a known end; without one, its average run length is K / alpha slices or more (J. Shin,
A. Ramdas, A. Rinaldo, E-detectors: a nonparametric framework for sequential change detection, New England Journal of
Statistics in Data Science 2, 2024). The delay is about log(K / alpha w_q) / KL(q, p0) answers.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._proof import _sequential


class Change:
    """A watch for a probability that becomes greater than it may be."""

    def __init__(self, slices: int, alpha: float) -> None:
        """It is asked after `slices` slices at most; `alpha` is the probability of a false alarm in all of them."""
        self._slices, self._limit = max(1, slices), -math.log(alpha)
        self._begun = 0
        self._evidence: list[float] = []  #: the logarithm of R_n, by alternative

    def add(self, count: float, total: float, most: float, alternatives: t.Sequence[float]) -> bool:
        """Whether it is sure by now, after a slice in which it happened `count` of `total` times.

        `most` is the greatest probability that is right in this slice, `alternatives` are greater ones, as many in
        each slice. Numbers that are not whole are those of answers that do not count as single ones.
        """
        begins = -math.log(self._slices) if self._begun < self._slices else -math.inf
        self._begun += 1
        before = self._evidence or [-math.inf] * len(alternatives)
        self._evidence = [
            _added(evidence, begins) + _ratio(count, total - count, other, most)
            for evidence, other in zip(before, alternatives)
        ]
        together = -math.inf
        for evidence in self._evidence:
            together = _added(together, evidence)
        return together - math.log(max(1, len(self._evidence))) >= self._limit


def _added(one: float, other: float) -> float:
    """The logarithm of the sum of two numbers that these are the logarithms of."""
    most, least = max(one, other), min(one, other)
    return most + math.log1p(math.exp(least - most)) if math.isfinite(least) else most


def _ratio(count: float, others: float, share: float, null: float) -> float:
    if others > 0 and share >= 1:
        return -math.inf
    value = count * _sequential.gain(share, null) if count else 0.0
    return value + others * _sequential.gain(1 - share, 1 - null) if others > 0 else value


class Share:
    """A watch for a share that leaves what is tolerated around the one that is expected."""

    def __init__(self, slices: int, alpha: float) -> None:
        """As of Change; each side has half of `alpha`."""
        self._sides = [(side, Change(slices, alpha / 2)) for side in (-1, 1)]

    def add(self, count: float, total: float, expected: float, tolerance: float) -> bool:
        """Whether it is sure by now, after a slice with `count` of `total` answers, that the share is another one."""
        low, high = _sequential.edges(expected, tolerance)
        sure = False
        for side, change in self._sides:
            edge, seen = (high, count) if side > 0 else (1 - low, total - count)
            sure = change.add(seen, total, edge, _sequential.beyond(edge, tolerance)) or sure
        return sure
