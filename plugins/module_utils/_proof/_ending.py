# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests that are lost because pods end, which count against no version. Pure functions."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

#: Seconds after which the proxies of all nodes send nothing to a pod any more that was told to end: they write their
#: rules at most once a second.
FOLLOW = 3.0
FOLLOW_SLOWLY = 30.0  #: the same for load balancers of clouds

#: How requests are lost that are sent to a pod which does not listen any more, or by a proxy in front of it.
LOST = ("connection refused", "connection lost", "no connection", "timeout", "HTTP 502", "HTTP 503", "HTTP 504")


def is_lost(error: str) -> bool:
    """Whether a request can be lost in this way by a pod that no longer listens."""
    return error.startswith(LOST)


@dataclass
class Ending:
    """The pods that were seen to end, and what was lost meanwhile. Times are seconds of one monotonic clock."""

    #: When the run may have ended pods that nobody sees any more, None where it has ended none.
    changed: float | None = None
    pods: dict[str, str] = field(default_factory=dict)  #: the version of each pod that was seen to end, by name
    lost: Counter[str] = field(default_factory=Counter)  #: how many requests, by why: those that pods may have lost
    first: float | None = None  #: when the first of the pods was seen
    newest: float | None = None  #: when the newest of them was

    def saw(self, pods: t.Mapping[str, str], now: float) -> None:
        """Note pods that are ending, each with its version."""
        new = {name: version for name, version in pods.items() if name not in self.pods}
        if new:
            self.pods.update(new)
            self.first = now if self.first is None else self.first
            self.newest = now

    def excuses(self, result: t.Mapping[str, t.Any], begun: float, version: str) -> bool:
        """Whether a look that `begun` then and lost requests says nothing of a version.

        That is so until the proxies have heard of the last pod that ends, unless an answer that is an error names the
        version itself.
        """
        errors: t.Mapping[str, int] = result.get("errors") or {}
        since = max((each for each in (self.changed, self.newest) if each is not None), default=None)
        if not errors or since is None or (result.get("errors_by_version") or {}).get(version):
            return False
        follow = FOLLOW_SLOWLY if all(map(is_lost, errors)) else FOLLOW
        if begun - since >= follow:
            return False
        self.lost.update({error: count for error, count in errors.items() if is_lost(error)})
        return True


def said(lost: int, pods: t.Mapping[str, int], cause: str) -> str:
    """What was lost while pods ended, in one sentence without its full stop; `pods` are their numbers by version."""
    of = " and ".join(
        f"{count} {'pod' if count == 1 else 'pods'}{f' of {version}' if version else ''}"
        for version, count in sorted(pods.items())
    )
    requests = "1 request was" if lost == 1 else f"{lost} requests were"
    return f"{requests} lost while {of or 'pods'} ended: {cause}"
