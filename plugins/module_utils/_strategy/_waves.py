# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which clusters of a fleet change together. Pure functions."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

COUNT = re.compile(r"^([0-9]+)(%?)$")


def waves(
    clusters: t.Sequence[str],
    waves: str | int | t.Sequence[str | int],
    groups: t.Mapping[str, t.Sequence[str]] | None = None,
) -> list[dict[str, t.Any]]:
    """Who changes with whom. Raises Failure for waves that cannot be, or that leave a cluster out."""
    asked = [
        item.strip() for item in ",".join(map(str, [waves] if isinstance(waves, (str, int)) else waves)).split(",")
    ]
    left = list(dict.fromkeys(clusters))
    members = [_members(item, len(left), groups or {}) for item in asked]
    planned: list[dict[str, t.Any]] = []
    for name, member in zip(asked, members):
        _take(planned, left, name, member)
    while left and isinstance(members[-1], int):
        _take(planned, left, asked[-1], members[-1])
    if left:
        raise Failure(
            f"{', '.join(left)}: in none of the waves {', '.join(asked)}; add all as the last wave, or leave "
            f"{'it' if len(left) == 1 else 'them'} out with --limit."
        )
    return planned


def _members(name: str, whole: int, groups: t.Mapping[str, t.Sequence[str]]) -> int | t.Sequence[str]:
    """How many clusters a wave takes, or which."""
    counted = COUNT.match(name)
    if counted:
        number = int(counted[1])
        if number and not (counted[2] and number > 100):
            return max(1, whole * number // 100) if counted[2] else number
    elif name in groups:
        return groups[name]
    known = ", ".join(sorted(set(groups) - {"ungrouped"}))
    raise Failure(
        f"{name or 'nothing'} is not a wave: use a number of clusters (1), a share (25%, at most 100%) "
        f"or a group of the inventory{f' ({known})' if known else ''}."
    )


def _take(planned: list[dict[str, t.Any]], left: list[str], name: str, member: int | t.Sequence[str]) -> None:
    """Plan one wave, of what is left."""
    taken = left[:member] if isinstance(member, int) else [item for item in left if item in set(member)]
    left[:] = [item for item in left if item not in set(taken)]
    if taken:
        planned.append({"number": len(planned) + 1, "name": name, "clusters": taken})
