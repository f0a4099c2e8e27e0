# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Amounts of resources: how they are written, and what a pod's containers come to. Pure functions of plain objects."""

from __future__ import annotations

import re
import typing as t
from decimal import Decimal
from fractions import Fraction

Object = t.Dict[str, t.Any]
Amounts = t.Dict[str, Fraction]

FACTORS: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Fraction(1024**power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}
QUANTITY = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$")


def quantity(text: str | float) -> Fraction:
    """A Kubernetes quantity (200m, 10Mi, 0.5, 1e3) as a number. Raises ValueError."""
    found = QUANTITY.match(str(text))
    if not found:
        raise ValueError(f"{text!r} is not a quantity such as 200m, 0.5 or 10Mi")
    number, exponent, suffix = found.groups()
    return Fraction(Decimal(number)) * (Fraction(10) ** int(exponent) if exponent else FACTORS[suffix or ""])


def shown(name: str, amount: Fraction) -> str:
    """An amount of a resource as people write it."""
    if name.endswith("cpu"):
        return str(int(amount)) if amount.denominator == 1 else f"{int(amount * 1000)}m"
    if name.endswith(("memory", "storage")):
        for suffix in ("Gi", "Mi", "Ki"):
            if amount and amount % FACTORS[suffix] == 0:
                return f"{int(amount / FACTORS[suffix])}{suffix}"
        if amount >= FACTORS["Mi"]:
            return f"{int(amount / FACTORS['Mi'])}Mi"
    return str(int(amount))


def requests(pod_spec: Object, *, overhead: bool = True) -> Amounts:
    """What the scheduler sets aside for a pod; without the overhead of its runtime where that is not to count."""
    return _total(pod_spec, requests_of, overhead=overhead)


def limits(pod_spec: Object, *, overhead: bool = True) -> Amounts:
    """What a pod may use at most, of the resources that are limited."""
    return _total(pod_spec, limits_of, overhead=overhead)


def _total(pod_spec: Object, of: t.Callable[[Object], Amounts], *, overhead: bool) -> Amounts:
    """What a pod's containers come to, as Kubernetes counts it.

    That is the sum of the containers and native sidecars, or an init container with the sidecars that start before it
    where that is more; `of` says what one of them has. The pod's own resources take their place, its overhead
    is added.
    """
    total: Amounts = {}
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in pod_spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            add(sidecars, of(container))
            continue
        beside = dict(sidecars)
        add(beside, of(container))
        for name, amount in beside.items():
            largest[name] = max(largest.get(name, Fraction(0)), amount)
    for container in pod_spec.get("containers") or []:
        add(total, of(container))
    add(total, sidecars)
    for name, amount in largest.items():
        total[name] = max(total.get(name, Fraction(0)), amount)
    # A limit of the whole pod is its request only where no container requests anything.
    given = (pod_spec.get("resources") or {}).get("requests") or {}
    whole = {
        name: amount for name, amount in of(pod_spec).items() if of is limits_of or name in given or not total.get(name)
    }
    total.update(whole)
    if overhead:
        add(total, {name: quantity(value) for name, value in (pod_spec.get("overhead") or {}).items()})
    return total


def requests_of(container: Object) -> Amounts:
    """What a container requests; a limit is the request where none is given."""
    resources = container.get("resources") or {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity(value) for name, value in wanted.items()}


def limits_of(container: Object) -> Amounts:
    """What a container may use at most."""
    found = (container.get("resources") or {}).get("limits") or {}
    return {name: quantity(value) for name, value in found.items()}


def add(total: Amounts, more: Amounts) -> None:
    """Add amounts to others, in place."""
    for name, amount in more.items():
        total[name] = total.get(name, Fraction(0)) + amount
