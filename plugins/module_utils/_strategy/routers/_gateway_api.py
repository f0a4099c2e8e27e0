# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HTTPRoutes of Gateway API: weights of the backends of their rules, and what their gateways say of them.

Rules and their backends are atomic lists, of which no apply or merge can change one item, so they are changed by JSON
patches. Pure functions of plain objects.
"""

from __future__ import annotations

import math
import typing as t
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._answer import Answer

Object = t.Dict[str, t.Any]

KIND = "HTTPRoute"
PLURAL = "httproutes"
GROUP = "gateway.networking.k8s.io"

WHOLE = 100  #: what both weights add up to where nothing else has a share, or a multiple of it
MOST = 1_000_000  #: of a weight, as the API has it


class Rule(t.NamedTuple):
    """A rule that leads to stable's Service."""

    number: int  #: its place among the rules
    stable: int  #: the place of its backend
    canary: int | None  #: that of the canary's, where it has one
    backends: t.Sequence[Object]

    def weight(self, place: int | None) -> int:
        """The weight of a backend, 0 of one that is not there."""
        return 0 if place is None else int(self.backends[place].get("weight", 1))

    @property
    def both(self) -> int:
        """The sum of the weights of both."""
        return self.weight(self.stable) + self.weight(self.canary)

    @property
    def others(self) -> list[str]:
        """The other backends."""
        return [str(each.get("name")) for at, each in enumerate(self.backends) if at not in (self.stable, self.canary)]


def _is(backend: Object, service: str, namespace: str) -> bool:
    return (
        backend.get("name") == service
        and backend.get("kind", "Service") == "Service"
        and not backend.get("group")
        and (backend.get("namespace") or namespace) == namespace
    )


def leading(item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> list[Rule]:
    """The rules that lead to stable's Service, those of `rules` where it names some."""
    namespace = str(item["metadata"].get("namespace") or "")
    found = []
    for index, rule in enumerate(item["spec"].get("rules") or []):
        backends = rule.get("backendRefs") or []
        places = {
            service: next((at for at, each in enumerate(backends) if _is(each, service, namespace)), None)
            for service in (stable, canary)
        }
        at = places[stable]
        if at is not None and (not rules or rule.get("name") in rules):
            found.append(Rule(index, at, places[canary], backends))
    return found


def check(item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> None:
    """Raise Failure where the route cannot share the traffic of these Services."""
    name = item["metadata"]["name"]
    there = [rule.get("name") for rule in item["spec"].get("rules") or []]
    for missing in [each for each in rules if each not in there]:
        known = ", ".join(str(each) for each in there if each) or "none of its rules has a name"
        raise Failure(f"HTTPRoute {name} has no rule {missing} ({known}); name another one, or none for all of them.")
    found = leading(item, stable, canary, rules)
    if not found:
        raise Failure(
            f"HTTPRoute {name} does not lead to Service {stable}, so it cannot share its traffic; name the HTTPRoute "
            f"whose backendRefs have that Service."
        )
    for rule in found:
        if item["spec"]["rules"][rule.number].get("sessionPersistence"):
            raise Failure(
                f"Rule {rule.number} of HTTPRoute {name} has sessionPersistence, so users would stay with a version "
                f"whatever the weights are; take it out for the time of the canary."
            )
        if rule.both == 0:
            raise Failure(
                f"Rule {rule.number} of HTTPRoute {name} gives Service {stable} the weight 0, so there is no traffic "
                f"to share; give it a weight first."
            )


def share(item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> Fraction | None:
    """The canary's share (0..1) of what both Services get; None where the rules do not agree."""
    found = {
        Fraction(rule.weight(rule.canary), rule.both) if rule.both else None
        for rule in leading(item, stable, canary, rules)
    }
    return found.pop() if len(found) == 1 else None


def weights(item: Object, stable: str, rules: t.Sequence[str]) -> list[int]:
    """Stable's weights, one a rule."""
    return [rule.weight(rule.stable) for rule in leading(item, stable, "", rules)]


def weighted(item: Object, stable: str, canary: str, rules: t.Sequence[str], weight: Fraction) -> list[Object]:
    """The JSON patch that gives the canary this share of what both Services get, with its Service as a backend.

    Other backends and their weights stay as they are. Raises Failure where whole weights cannot give the share.
    """
    patch: list[Object] = []
    for rule in leading(item, stable, canary, rules):
        path = f"/spec/rules/{rule.number}/backendRefs"
        now = rule.weight(rule.canary), rule.weight(rule.stable)
        new = _split(item, rule, weight)
        if rule.canary is None:
            like = rule.backends[rule.stable]
            copied = {key: like[key] for key in ("group", "kind", "namespace", "port") if key in like}
            patch.append({"op": "test", "path": f"{path}/{rule.stable}/name", "value": stable})
            patch.append({"op": "add", "path": f"{path}/-", "value": {**copied, "name": canary, "weight": new[0]}})
        elif now[0] != new[0]:
            patch.append({"op": "test", "path": f"{path}/{rule.canary}/name", "value": canary})
            patch.append({"op": "add", "path": f"{path}/{rule.canary}/weight", "value": new[0]})
        if now[1] != new[1]:
            patch.append({"op": "test", "path": f"{path}/{rule.stable}/name", "value": stable})
            patch.append({"op": "add", "path": f"{path}/{rule.stable}/weight", "value": new[1]})
    return patch


def _split(item: Object, rule: Rule, weight: Fraction) -> tuple[int, int]:
    """The weights of the canary and of stable."""
    if weight == 0:
        return 0, rule.both
    name = item["metadata"]["name"]
    percent = f"{float(weight * 100):g}%"
    if rule.others:
        part = weight * rule.both
        if part.denominator != 1:
            raise Failure(
                f"In HTTPRoute {name} the Service and its canary have the weight {rule.both} beside "
                f"{', '.join(rule.others)}, of which {percent} is no whole number; multiply all weights of the rule by "
                f"{part.denominator}, which changes nobody's share, and run again."
            )
        return int(part), rule.both - int(part)
    whole = math.lcm(WHOLE, weight.denominator)
    if whole > MOST:
        raise Failure(f"The weight {percent} is too fine for HTTPRoute {name}; give at most four decimals.")
    return int(weight * whole), whole - int(weight * whole)


def without(item: Object, stable: str, canary: str, rules: t.Sequence[str], before: t.Sequence[int]) -> list[Object]:
    """The JSON patch that takes the canary's Service out; `before` are stable's weights from before it, one a rule."""
    patch: list[Object] = []
    found = leading(item, stable, canary, rules)
    for number, rule in enumerate(found):
        path = f"/spec/rules/{rule.number}/backendRefs"
        # With others beside it, what both held together is stable's share; alone, any weight is all of it.
        known = not rule.others and len(before) == len(found) and before[number] > 0
        weight = before[number] if known else rule.both
        if rule.weight(rule.stable) != weight and rule.canary is not None:
            patch.append({"op": "test", "path": f"{path}/{rule.stable}/name", "value": stable})
            patch.append({"op": "add", "path": f"{path}/{rule.stable}/weight", "value": weight})
        if rule.canary is not None:
            patch.append({"op": "test", "path": f"{path}/{rule.canary}/name", "value": canary})
            patch.append({"op": "remove", "path": f"{path}/{rule.canary}"})
    return patch


def given(item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> dict[str, int]:
    """The weights of both Services, by the paths of their fields."""
    found: dict[str, int] = {}
    for rule in leading(item, stable, canary, rules):
        for service, place in ((stable, rule.stable), (canary, rule.canary)):
            if place is not None:
                found[f"spec.rules[{rule.number}].backendRefs[name={service}].weight"] = rule.weight(place)
    return found


def answer(item: Object) -> Answer:
    """Whether every parent of the route has accepted it, and found its backends, as it is now."""
    namespace = str(item["metadata"].get("namespace") or "")
    generation = int(item["metadata"].get("generation") or 0)
    said = (item.get("status") or {}).get("parents") or []
    parents = item["spec"].get("parentRefs") or []
    if not parents:
        return Answer("no", "it names no Gateway as its parent")
    worst = Answer("yes")
    for parent in parents:
        mine = [each for each in said if _key(each.get("parentRef") or {}, namespace) == _key(parent, namespace)]
        name = f"{parent.get('kind', 'Gateway')} {parent.get('name')}"
        if not mine:
            return Answer("not yet", f"{name} has not answered for it")
        for each in mine:
            found = _judged(each, name, generation)
            if found.said == "no" or worst.said == "yes":
                worst = found if found.said != "yes" else worst
    return worst


def _key(parent: t.Mapping[str, t.Any], namespace: str) -> tuple[t.Any, ...]:
    return (
        parent.get("group", GROUP), parent.get("kind", "Gateway"), parent.get("namespace") or namespace,
        parent.get("name"), parent.get("sectionName") or "", parent.get("port") or 0,
    )  # fmt: skip


def _judged(status: Object, name: str, generation: int) -> Answer:
    conditions = {each.get("type"): each for each in status.get("conditions") or []}
    for kind, words in (("Accepted", "does not accept it"), ("ResolvedRefs", "does not find its backends")):
        each = conditions.get(kind)
        if each is None or int(each.get("observedGeneration") or 0) < generation:
            return Answer("not yet", f"{name} has not answered for what it is now")
        if each.get("status") != "True":
            why = ": ".join(part for part in (each.get("reason"), (each.get("message") or "").rstrip(".")) if part)
            return Answer("no", f"{name} {words} ({why})")
    return Answer("yes")
