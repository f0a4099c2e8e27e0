# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the LimitRanges of a namespace give pods that do not name it, and which pods they refuse. Pure functions."""

from __future__ import annotations

import typing as t
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._workload import _amounts, _images
from ansible_collections.convoy.rollout.plugins.module_utils._workload._amounts import Amounts, quantity, shown

Object = t.Dict[str, t.Any]


def _rules(limit_ranges: t.Iterable[Object], kind: str) -> list[Object]:
    return [
        rule
        for item in limit_ranges
        for rule in (item.get("spec") or {}).get("limits") or []
        if rule.get("type") == kind
    ]


def defaulted(pod_spec: Object, limit_ranges: t.Iterable[Object]) -> Object:
    """A pod's specification with what the LimitRanges of its namespace give containers that name no amount.

    Like the API server does: the most is the limit where no default is said, a default limit the request where none
    is, else the least; and a limit that was given is the request where none is given.
    """
    limits: dict[str, t.Any] = {}
    requests: dict[str, t.Any] = {}
    for rule in _rules(limit_ranges, "Container"):
        default = {**(rule.get("max") or {}), **(rule.get("default") or {})}
        limits.update(default)
        requests.update({**(rule.get("min") or {}), **default, **(rule.get("defaultRequest") or {})})

    def whole(container: Object) -> Object:
        there = container.get("resources") or {}
        given = there.get("limits") or {}
        asked = {**given, **(there.get("requests") or {})}
        return dict(container, resources=dict(there, limits={**limits, **given}, requests={**requests, **asked}))

    kinds = [kind for kind in ("containers", "initContainers") if pod_spec.get(kind)]
    return dict(pod_spec, **{kind: [whole(item) for item in pod_spec[kind]] for kind in kinds})


def refusals(pod_spec: Object, limit_ranges: t.Sequence[Object]) -> list[tuple[str, str]]:
    """Why LimitRanges do not admit such pods, their defaults in place: the resource, and the reason in words."""
    found = []
    for item in _images.containers({"spec": pod_spec}, every=True):
        asked, most = _amounts.requests_of(item), _amounts.limits_of(item)
        for rule in _rules(limit_ranges, "Container"):
            found += _broken(rule, asked, most, f"container {item.get('name')}")
    asked, most = (
        _amounts.requests(pod_spec, overhead=False),
        _amounts.limits(pod_spec, overhead=False),
    )
    for rule in _rules(limit_ranges, "Pod"):
        found += _broken(rule, asked, most, "the pod")
    return found


def _broken(rule: Object, requests: Amounts, limits: Amounts, what: str) -> list[tuple[str, str]]:
    """What of a rule does not hold, as the API server judges it."""
    found = []
    kind = rule["type"]
    for name, said in (rule.get("min") or {}).items():
        asked, most, least = requests.get(name), limits.get(name), quantity(said)
        if asked is None:
            why = f"{what} requests none"
        elif asked < least:
            why = f"{what} requests {shown(name, asked)}"
        elif most is not None and most < least:
            why = f"the limit of {what} is {shown(name, most)}"
        else:
            continue
        found.append((name, f"the LimitRange has a minimum of {said} {name} per {kind}, and {why}"))
    for name, said in (rule.get("max") or {}).items():
        asked, most, limit = requests.get(name), limits.get(name), quantity(said)
        if most is None:
            why = f"{what} has no limit"
        elif most > limit:
            why = f"the limit of {what} is {shown(name, most)}"
        elif asked is not None and asked > limit:
            why = f"{what} requests {shown(name, asked)}"
        else:
            continue
        found.append((name, f"the LimitRange has a maximum of {said} {name} per {kind}, and {why}"))
    for name, said in (rule.get("maxLimitRequestRatio") or {}).items():
        asked, most = requests.get(name, Fraction(0)), limits.get(name, Fraction(0))
        if asked and most and most / asked <= quantity(said):
            continue
        why = f"{what} has {shown(name, most)} and {shown(name, asked)}"
        found.append((name, f"the LimitRange lets limits be {said} times the requests of {name} at most, and {why}"))
    return found
