# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many copies a number, a step or a share comes to. Pure functions."""

from __future__ import annotations

import math
import re

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure


def target(name: str, there: int, said: str) -> int:
    """How many copies are wanted of a Deployment that has `there`. Raises Failure.

    `said` is a number (5), a step (+2, -1), a share of what there is (50%) or a step by a share (+50%, -25%).
    Shares are rounded up.
    """
    matched = re.fullmatch(r"([+-]?)(\d+)(%?)", said.strip())
    if not matched:
        raise Failure(f"replicas is {said!r}; give a number as 5, a step as +2 or -1, or a share as 50% or +50%.")
    sign, number, percent = matched[1], int(matched[2]), matched[3]
    if percent:
        share = {"": number, "+": 100 + number, "-": 100 - number}[sign]
        wanted = math.ceil(there * share / 100)
    else:
        wanted = {"": number, "+": there + number, "-": there - number}[sign]
    if wanted < 0:
        raise Failure(f"Deployment {name} has {there} replicas; {said} would make that {wanted}, fewer than none.")
    return wanted
