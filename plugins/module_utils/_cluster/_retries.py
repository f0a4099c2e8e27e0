# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which requests to an API server are repeated, and when.

A request is repeated only where that cannot do anything twice:

- nothing was done: the server said that it is too busy (429), or unavailable for now (503 with
  Retry-After), or the connection was refused, so that nothing was sent;
- or doing it twice is doing it once: it only reads, it is a dry run, it deletes, or it applies only to one
  resourceVersion, which the first change would have replaced.

All others, such as creating an object whose answer got lost, are their caller's to look after.
"""

from __future__ import annotations

import random
import typing as t

ATTEMPTS = 6  #: how often a request is made at most
PATIENCE = 30.0  #: seconds after which no new attempt begins
FIRST_PAUSE = 0.2  #: seconds, doubled for each further attempt
LONGEST_PAUSE = 5.0  #: seconds, unless the server asks for more

#: Answers after which it is not known whether anything was done; 0 is no answer.
UNKNOWN = frozenset([0, 500, 502, 503, 504])


class Refusal(t.NamedTuple):
    """How a request ended that had no success."""

    status: int  #: 0 where no answer came
    retry_after: float | None = None  #: seconds that the server asks for
    sent: bool = True  #: whether the server may have got it
    lasting: bool = False  #: trying again cannot help, as with a certificate that is not trusted


def is_conditional(method: str, body: t.Any) -> bool:
    """Whether a change applies only to one version of its object, or is the same when it is made twice."""
    if method == "DELETE":
        return True
    if method == "PUT":
        return bool(isinstance(body, dict) and (body.get("metadata") or {}).get("resourceVersion"))
    return isinstance(body, list) and any(
        step.get("op") == "test" and step.get("path") == "/metadata/resourceVersion" for step in body
    )


def growing(attempt: int, chance: t.Callable[[], float] = random.random) -> float:
    """Seconds before the attempt after the one of a number, which counts from 1.

    They grow exponentially; half of them is by `chance` (0..1), so that clients that were refused together do
    not come back together.
    """
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)) * (0.5 + chance() / 2)


def pause(
    refusal: Refusal,
    *,
    repeatable: bool,
    attempt: int,
    elapsed: float,
    chance: t.Callable[[], float] = random.random,
) -> float | None:
    """Seconds to wait before the next attempt, None where there is to be none.

    `attempt` counts from 1, `elapsed` are the seconds since the first one began. The pause is `growing`; what
    the server asks for is the least.
    """
    not_done = refusal.status == 429 or (refusal.status == 503 and refusal.retry_after is not None) or not refusal.sent
    if refusal.lasting or not (not_done or (repeatable and refusal.status in UNKNOWN)):
        return None
    if attempt >= ATTEMPTS:
        return None
    wait = max(growing(attempt, chance), refusal.retry_after or 0.0)
    return wait if elapsed + wait < PATIENCE else None
