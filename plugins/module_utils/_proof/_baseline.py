# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What users get before a change, and so how the change can be verified afterwards. Pure functions."""

from __future__ import annotations

import math
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import UNNAMED

#: How a change can be verified: by the versions that answer, by requests that are lost, or by no requests at all.
By = t.Literal["versions", "requests", "nothing"]

#: What is asked where an entry says it; the rest of an entry is how its answers are judged.
PLACE = ("service", "url", "port", "scheme", "path")


def by(counts: t.Mapping[str, int], running: t.Collection[str] | None) -> By:
    """How a change can be verified where these answers were counted.

    `running` are the versions that the ready pods have: answers that name others name something else than a version
    of theirs. None takes every name for a version.
    """
    named = [version for version in counts if version != UNNAMED]
    if named and (running is None or any(version in running for version in named)):
        return "versions"
    return "requests" if counts else "nothing"


def may_come_back(errors: t.Collection[str]) -> bool:
    """Whether all of these errors are such that an application which is down makes them."""
    down = ("HTTP 5", "connection", "no connection", "timeout")
    return bool(errors) and all(error.startswith(down) for error in errors)


def is_down(errors: t.Collection[str]) -> bool:
    """Whether these errors come from the application or from what is in front of it: somebody is there."""
    return bool(errors) and all(error.startswith("HTTP 5") for error in errors)


def names_a_place(entry: t.Mapping[str, t.Any]) -> bool:
    """Whether an entry says where users come in."""
    return any(entry.get(key) is not None for key in PLACE)


SURELY = 1.645  #: the quantile of the normal distribution that is exceeded in 5 of 100


def least(min_success: float, baseline: t.Mapping[str, t.Any] | None) -> float:
    """The share of requests that must be answered after a change: as asked for, or as before it where that was less.

    Where some were lost before, as many more may be as is 95% sure that are lost always: with none of 500 it is not
    known, but more than 0.6% are unlikely, with 5 of 500 it may be 2.1%.
    """
    samples, lost = (baseline or {}).get("samples") or 0, sum(((baseline or {}).get("errors") or {}).values())
    if not lost or not samples:
        return min_success
    most = (lost + SURELY**2 / 2 + SURELY * math.sqrt(lost + SURELY**2 / 4)) / samples
    return min(min_success, max(0.0, 1 - most))
