# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one running test of a canary's pause: its share, lost requests and slow answers, slice after slice. Pure.

Each of them is watched by a test of _change over the whole pause, and they share its error probability out: a canary
that is right all the time is taken away with a probability of at most alpha, however long the pause is.
"""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._proof import _statistics
from ansible_collections.convoy.rollout.plugins.module_utils._proof._change import Change, Share

Seen = t.Mapping[str, t.Any]

MORE = (0.01, 0.03, 0.1, 0.3)  #: how many more requests than may be are lost by what is to be found
TIMES = (3, 10, 30)  #: how many times as many answers as may be are slow by what is to be found
SLOWER = 1.5  #: how many times as often as stable's the canary's answers may be slow
RECENT = 6  #: slices of which the words tell


class Pause:
    """What a pause has seen so far."""

    def __init__(
        self,
        versions: tuple[str, str],
        slices: int,
        alpha: float,
        *,
        min_success: float,
        tolerance: float | None = None,
        max_p99: float | None = None,
    ) -> None:
        """`versions` are stable's and the canary's; `min_success` and `tolerance` are as of a Standard."""
        self._stable, self._canary = versions
        self._tolerance, self._lossy, self._max_p99 = tolerance, 1 - min_success, max_p99
        each = alpha / (3 if max_p99 is None else 5)
        self._share = Share(slices, each)
        self._lost, self._own = Change(slices, each), Change(slices, each)
        self._slow, self._slower = Change(slices, each), Change(slices, each)
        self._is_slow = self._is_slower = False
        self._recent: collections.deque[Seen] = collections.deque(maxlen=RECENT)

    def add(self, seen: Seen, expected: t.Mapping[str, float]) -> str:
        """Why the canary has to go after a slice, in words; empty where nothing is sure.

        `seen` is what version_distribution returned for the slice; `expected` are the shares of it, empty where none
        can be told.
        """
        counts: t.Mapping[str, int] = seen["counts"]
        self._recent.append(seen)
        strange = [version for version in counts if expected and version not in expected]
        if strange:
            return f"{min(strange)} answers {counts[min(strange)]} of {seen['samples']} requests, expected 0%"
        return self._losing(seen, counts) or self._sharing(seen, counts, expected) or self._lagging(seen, counts)

    def _losing(self, seen: Seen, counts: t.Mapping[str, int]) -> str:
        lost, most = sum(seen["errors"].values()), self._lossy
        more = (*(min(1.0, most + each) for each in MORE), 1.0)
        own = seen["errors_by_version"].get(self._canary, 0)
        if self._lost.add(lost, seen["samples"], most, more):
            return f"{self._of('errors')} requests were lost in the {self._span()}, where {self._may()} may be"
        if self._own.add(own, own + counts.get(self._canary, 0), most, more):
            failed = self._of("errors_by_version", self._canary)
            return f"{self._canary} failed {failed} of its own requests in the {self._span()}"
        return ""

    def _sharing(self, seen: Seen, counts: t.Mapping[str, int], expected: t.Mapping[str, float]) -> str:
        share, answered = expected.get(self._canary, 0.0), sum(counts.values())
        if not 0 < share < 1 or not answered:
            return ""
        tolerance = _statistics.tolerated(share, self._tolerance)
        worth = min(1.0, seen["effective"] / answered)  # answers that depend on each other count for less
        if not self._share.add(counts.get(self._canary, 0) * worth, answered * worth, share, tolerance):
            return ""
        count = sum(each["counts"].get(self._canary, 0) for each in self._recent)
        total = sum(sum(each["counts"].values()) for each in self._recent)
        return (
            f"{self._canary} answers {_statistics.percent(count / total, share)}% of {total} requests of late, "
            f"expected {share * 100:g} ± {tolerance * 100:g}: its share has changed during the pause"
        )

    def _lagging(self, seen: Seen, counts: t.Mapping[str, int]) -> str:
        if self._max_p99 is None:
            return ""
        slow, own, others = seen["slow_by"], counts.get(self._canary, 0), counts.get(self._stable, 0)
        late, theirs = slow.get(self._canary, 0), slow.get(self._stable, 0)
        most = _statistics.SLOW
        if self._slow.add(late, own, most, (*(most * times for times in TIMES), 1.0)):
            self._is_slow = True
        if own and others:
            # Of all slow answers of these seconds, as many are the canary's as it has answers, if it is no slower.
            odds = SLOWER * own / others
            chances = [odds * times / (1 + odds * times) for times in (1, 2, 4, 8)]
            if self._slower.add(late, late + theirs, chances[0], (*chances[1:], 1.0)):
                self._is_slower = True
        if not (self._is_slow and self._is_slower):
            return ""
        return (
            f"{self._canary} took more than {self._max_p99:g} s for {self._of('slow_by', self._canary)} answers "
            f"in the {self._span()}, where {most:.0%} may, and {self._stable} is faster"
        )

    def _of(self, what: str, version: str = "") -> str:
        """How many of the latest requests, or of those of a version, these were."""
        count = sum(each[what].get(version, 0) if version else sum(each[what].values()) for each in self._recent)
        lost = sum(each["errors_by_version"].get(version, 0) for each in self._recent)
        of = sum(each["counts"].get(version, 0) if version else each["samples"] for each in self._recent)
        return f"{count} of {of + lost if version else of}"

    def _span(self) -> str:
        return f"last {len(self._recent)} slices of the pause" if len(self._recent) > 1 else "last slice of the pause"

    def _may(self) -> str:
        return f"{_statistics.percent(self._lossy)}%"
