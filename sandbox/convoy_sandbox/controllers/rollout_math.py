# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a Deployment's replicas are shared among its ReplicaSets: pure arithmetic.

Source of the rules: the Kubernetes documentation of Deployments (rolling update, proportional scaling).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """The replicas of one ReplicaSet: asked for and available; `name` tells them apart."""

    name: str
    desired: int
    available: int


def resolve(value: int | str, total: int, *, up: bool) -> int:
    """A number or a percentage of `total` as a number, rounded up or down."""
    if isinstance(value, int):
        return value
    share = int(value.rstrip("%")) * total / 100
    return math.ceil(share) if up else math.floor(share)


def bounds(replicas: int, max_surge: int | str, max_unavailable: int | str) -> tuple[int, int]:
    """Surge and unavailability in pods; where both come out as 0, one pod may be unavailable."""
    surge = resolve(max_surge, replicas, up=True)
    unavailable = resolve(max_unavailable, replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, unavailable


def scale_up_new(new: Size, old: Sequence[Size], replicas: int, surge: int) -> int:
    """The size of the new ReplicaSet in a rolling update's next step."""
    if new.desired >= replicas:
        return replicas
    total = new.desired + sum(size.desired for size in old)
    room = replicas + surge - total
    return new.desired + max(0, min(room, replicas - new.desired))


def scale_down_old(new: Size, old: Sequence[Size], replicas: int, unavailable: int) -> dict[str, int]:
    """The sizes of the old ReplicaSets that shrink next; `old` is sorted from the oldest.

    Pods that are not available go first: removing them costs nothing.
    """
    sizes = {size.name: size.desired for size in old}
    total = new.desired + sum(sizes.values())
    least = replicas - unavailable
    may_go = total - least - (new.desired - new.available)
    if may_go <= 0 or not any(sizes.values()):
        return {}
    gone = 0
    for size in old:
        if gone >= may_go:
            break
        count = min(may_go - gone, max(0, size.desired - size.available))
        sizes[size.name] -= count
        gone += count
    surplus = new.available + sum(size.available for size in old) - least
    for size in old:
        count = min(max(0, surplus), sizes[size.name])
        sizes[size.name] -= count
        surplus -= count
    return {size.name: sizes[size.name] for size in old if sizes[size.name] != size.desired}


def proportional(sizes: Sequence[Size], allowed: int, shares: dict[str, int]) -> dict[str, int]:
    """Sizes after a Deployment in the middle of a rollout was scaled: the change is shared by size.

    `allowed` is how many pods there may be in all; `shares` gives each ReplicaSet's part, worked out by
    `proportions`. What rounding leaves over goes to the largest.
    """
    total = sum(size.desired for size in sizes)
    to_add = allowed - total
    order = sorted(sizes, key=lambda size: (-size.desired, size.name))
    result = {size.name: size.desired for size in sizes}
    added = 0
    for size in order:
        result[size.name] = max(0, size.desired + shares.get(size.name, 0))
        added += shares.get(size.name, 0)
    if order and to_add != added:
        result[order[0].name] = max(0, result[order[0].name] + to_add - added)
    return result


def proportions(sizes: Sequence[Size], allowed: int, previous: dict[str, int]) -> dict[str, int]:
    """Each ReplicaSet's part of a change of scale.

    `previous` is the pods each one's Deployment was allowed when it was last scaled (max-replicas).
    """
    to_add = allowed - sum(size.desired for size in sizes)
    order = sorted(sizes, key=lambda size: (-size.desired, size.name))
    shares: dict[str, int] = {}
    added = 0
    for size in order:
        if to_add == 0 or size.desired == 0:
            continue
        before = previous.get(size.name) or allowed
        # Rounded to the nearest, halves away from zero, as Go rounds.
        fraction = size.desired * allowed / before - size.desired
        part = math.floor(abs(fraction) + 0.5) * (1 if fraction >= 0 else -1)
        left = to_add - added
        shares[size.name] = min(part, left) if to_add > 0 else max(part, left)
        added += shares[size.name]
    return shares
