# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Testers: rules of an HTTPRoute that lead requests with certain headers to the canary alone.

Each rule that leads to stable's Service has one beside it with the same matches and these headers besides. Gateways
take the rule that says more of a request, wherever it stands. Pure functions of plain objects.
"""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _gateway_api

Object = t.Dict[str, t.Any]
Headers = t.Mapping[str, str]

KEPT = ("filters", "timeouts", "retry")  #: what a rule does with a request besides leading it somewhere
EVERYTHING = {"path": {"type": "PathPrefix", "value": "/"}}  #: what a rule without matches takes


def said(headers: Headers) -> str:
    """Headers as a person reads them."""
    return " and ".join(f"{name}: {value}" for name, value in headers.items())


def places(item: Object, canary: str) -> list[int]:
    """Where among the rules those of testers are: they lead to the canary's Service and to nothing else."""
    return [
        number
        for number, rule in enumerate(item["spec"].get("rules") or [])
        if [each.get("name") for each in rule.get("backendRefs") or []] == [canary]
    ]


def ruled(item: Object, stable: str, canary: str, rules: t.Sequence[str], headers: Headers) -> list[Object]:
    """The rules that testers need; none where there are no headers."""
    if not headers:
        return []
    wanted = [{"type": "Exact", "name": name, "value": value} for name, value in headers.items()]
    found = []
    for rule in _gateway_api.ROUTER.leading(item, stable, canary, rules):
        matches = [
            {**match, "headers": [*(match.get("headers") or []), *wanted]}
            for match in rule.source.get("matches") or [EVERYTHING]
        ]
        kept = {key: rule.source[key] for key in KEPT if key in rule.source}
        found.append({**kept, "matches": matches, "backendRefs": [rule.add(1)["value"]]})
    return found


def led(item: Object, stable: str, canary: str, rules: t.Sequence[str], headers: Headers) -> list[Object]:
    """The JSON patch after which requests with these headers, and no others, are led to the canary alone.

    Rules of other headers go; without any, all of them. What is to stay keeps its place until the last operation.
    """
    there = item["spec"].get("rules") or []
    wanted = ruled(item, stable, canary, rules, headers)
    had = places(item, canary)
    if [there[number] for number in had] == wanted:
        return []
    added = [{"op": "add", "path": "/spec/rules/-", "value": rule} for rule in wanted]
    return [*added, *({"op": "remove", "path": f"/spec/rules/{number}"} for number in reversed(had))]


def given(item: Object, canary: str) -> dict[str, t.Any]:
    """What leads testers to the canary, by the paths of the fields."""
    return {
        f"spec.rules[{number}].matches": item["spec"]["rules"][number].get("matches") for number in places(item, canary)
    }
