# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether another look at the traffic can come out otherwise, while a cluster still settles. Pure functions."""

from __future__ import annotations

import typing as t

SLOW_LOOKS = 3  #: how often answers have to be too slow: those of a version that is only cold are so once or twice
UNSURE_LOOKS = 2  #: how often what nothing could be told of is looked at: traffic that still follows looks like that
ANSWER_LOOKS = 3  #: how often one that answers, if not every time, is asked: the API server on the way may fail, too

Result = t.Mapping[str, t.Any]
Settled = t.Callable[[Result, bool, int], bool]


def shares(result: Result, failed: bool, attempt: int) -> bool:
    """True when another check cannot change the verdict of live traffic: shares may follow, what is lost is lost.

    `result` is what a look saw, with `slow_looks`, how many looks so far were too slow; `failed` is whether its verdict
    was not as it had to be, `attempt` its number from 1 on.
    """
    if result.get("verdict") == "inconclusive" and attempt < UNSURE_LOOKS:
        return False
    if not failed or result.get("losing", bool(result.get("errors"))):
        return True
    return int(result.get("slow_looks", 0)) >= SLOW_LOOKS


def answers(result: Result, failed: bool, attempt: int) -> bool:
    """The same for what takes no traffic yet: a Service takes a moment to find it, and a wrong version stays wrong."""
    errors = result.get("errors") or {}
    if not failed or not errors:
        return True
    return attempt >= ANSWER_LOOKS and (bool(result.get("counts")) or "HTTP 500" in errors)


def route(result: Result, failed: bool, attempt: int) -> bool:
    """The same for what a route leads some requests to: until gateways have taken it over, they get what others do."""
    if failed and not result.get("errors"):
        return False
    return answers(result, failed, attempt)


def verdict(result: Result, _failed: bool, _attempt: int) -> bool:
    """The same for what is to be good again after a rollback: repeated until it passes."""
    return result.get("verdict") == "pass"


FIRST = 2 / 3  #: of an error probability goes to the first look, which then takes hardly more requests than an only one


def part(settles: str, attempt: int, looks: int) -> float:
    """Which part of the probability to pass what loses too many requests a look may use up, from 0 to 1.

    All of it where a look that is losing requests is the last one. Where such a look is followed by others until one
    passes, their parts add up to 1, so that what goes on losing them has no more chances to pass than once.
    """
    if settles != "verdict" or looks == 1:
        return 1.0
    return FIRST if attempt == 1 else (1 - FIRST) / (looks - 1)


def repeats(settles: str, fail_on: str) -> bool:
    """Whether a look that nothing was lost in, but that another version answered, is followed by the next one.

    Its verdict is known by that one answer, and a further request of it would be made for nothing.
    """
    return settles in ("route", "verdict") or (settles == "shares" and fail_on != "never")


SETTLED: dict[str, Settled] = {"shares": shares, "answers": answers, "route": route, "verdict": verdict}
