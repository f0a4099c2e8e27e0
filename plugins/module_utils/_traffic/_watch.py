# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What steady samples say about a change that was made meanwhile. Pure, but for the time of day."""

from __future__ import annotations

import datetime
import typing as t
from collections import Counter

from ansible_collections.convoy.rollout.plugins.module_utils._traffic._sampler import Sample
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import UNNAMED

MOST_LOSSES = 1000  #: how many lost requests are told one by one
NOTED = 1.0  #: seconds without a good answer that are worth a word though no request was lost


class Tally:
    """Samples as they come, in the order in which they were made."""

    def __init__(self, begun: float, clock: float) -> None:
        """The watch began at `begun` (seconds of time.monotonic), which was `clock` (seconds since 1970)."""
        self._clock = clock - begun
        self._good = begun  # the latest end of a good answer
        self._gap = 0.0
        self._samples = 0
        self._errors: Counter[str] = Counter()
        self._losses: list[tuple[float, str]] = []
        self._seen: dict[str, list[float]] = {}  # by version: count, first and last end of an answer

    def add(self, sample: Sample) -> bool:
        """Count a sample; there are never enough of them."""
        self._samples += 1
        if sample.error is not None:
            self._errors[sample.error] += 1
            if len(self._losses) < MOST_LOSSES:
                self._losses.append((sample.begun, sample.error))
            return True
        ended = sample.begun + sample.seconds
        self._gap = max(self._gap, ended - self._good)
        self._good = max(self._good, ended)
        seen = self._seen.setdefault(t.cast(str, sample.version), [0, ended, ended])
        seen[:] = seen[0] + 1, min(seen[1], ended), max(seen[2], ended)
        return True

    def report(self, ended: float) -> dict[str, t.Any]:
        """What was seen until `ended`, a time as `begun` is."""
        gap = max(self._gap, ended - self._good)
        lost = sum(self._errors.values())
        order = sorted(self._seen, key=lambda version: self._seen[version][1])
        return {
            "samples": self._samples,
            "lost": lost,
            "errors": dict(self._errors),
            "losses": [[round(begun + self._clock, 3), error] for begun, error in self._losses],
            "versions": {
                version: {
                    "count": int(self._seen[version][0]),
                    "first": self._at(self._seen[version][1]).isoformat(timespec="milliseconds"),
                    "last": self._at(self._seen[version][2]).isoformat(timespec="milliseconds"),
                }
                for version in order
            },
            "gap": round(gap, 3),
            "message": self._message(order, lost, gap),
        }

    def _at(self, when: float) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(when + self._clock, datetime.timezone.utc)

    def _message(self, order: list[str], lost: int, gap: float) -> str:
        said = f"{self._samples} requests, {lost} lost"
        if lost:
            said += " (" + "; ".join(f"{count} x {error}" for error, count in self._errors.most_common()) + ")"
        if lost or gap >= NOTED:
            said += f", longest time without a good answer {gap:.1f} s"
        if order == [UNNAMED]:
            return f"{said}; the answers name no version"
        if len(order) == 1:
            return f"{said}; all answers from {order[0]}"

        def clock(when: float) -> str:
            return self._at(when).astimezone().strftime("%H:%M:%S.%f")[:-5]

        spans = []
        for place, version in enumerate(order):
            _count, first, last = self._seen[version]
            since = f" from {clock(first)}" if place else ""
            until = f" until {clock(last)}" if place < len(order) - 1 else ""
            spans.append(f"{version}{since}{until}")
        return f"{said}; {', '.join(spans)}" if spans else said
