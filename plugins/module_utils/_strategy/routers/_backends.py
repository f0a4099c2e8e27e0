# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backends with weights, as most routers have them: shares, and the JSON patches that change them.

Lists of backends are atomic, so no apply or merge can change one of them. Each operation of a patch comes after a
`test` that the backend is still the one that is meant. Pure functions of plain objects.
"""

from __future__ import annotations

import math
import typing as t
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Object = t.Dict[str, t.Any]

WHOLE = 100  #: what both weights add up to where nothing else has a share, or a multiple of it


class Backend(t.NamedTuple):
    """One of the places that a rule leads to."""

    service: str  #: what it is called there
    weight: int  #: that it has, whether it says so or not
    said: t.Optional[int]  #: the weight that it says
    at: str  #: the JSON pointer of it
    name: str  #: the JSON pointer of its name, below it
    field: str  #: the path of its weight


class Rule(t.NamedTuple):
    """A rule that leads to stable's Service."""

    called: str  #: as a message names it
    source: Object  #: what the object has of it
    stable: Backend
    canary: t.Optional[Backend]
    others: t.Sequence[Backend]
    add: t.Callable[[int], Object]  #: the operation that makes the canary a backend of this weight

    @property
    def both(self) -> int:
        """The sum of the weights of both."""
        return self.stable.weight + (self.canary.weight if self.canary else 0)


def places(
    entries: t.Sequence[Object], is_of: t.Callable[[Object, str], bool], stable: str, canary: str
) -> tuple[int | None, int | None]:
    """Where among a rule's entries those of both Services are; `is_of` says whether an entry is a Service's."""
    at, beside = (
        next((at for at, each in enumerate(entries) if service and is_of(each, service)), None)
        for service in (stable, canary)
    )
    return at, beside


def rule(
    called: str,
    source: Object,
    backends: t.Sequence[Backend],
    at: int,
    beside: int | None,
    path: str,
    added: Object,
) -> Rule:
    """A rule, of which the backends of stable's and of the canary's Service are at these places.

    `path` is that of its list of backends, `added` the canary's as it is put there, but for its weight.
    """
    return Rule(
        called=called,
        source=source,
        stable=backends[at],
        canary=None if beside is None else backends[beside],
        others=[each for index, each in enumerate(backends) if index not in (at, beside)],
        add=lambda weight: {"op": "add", "path": f"{path}/-", "value": {**added, "weight": weight}},
    )


def _set(backend: Backend, weight: int) -> list[Object]:
    """The operations that give a backend a weight, none where it says it already."""
    if backend.said == weight:
        return []
    return [_test(backend), {"op": "add", "path": f"{backend.at}/weight", "value": weight}]


def _test(backend: Backend) -> Object:
    return {"op": "test", "path": f"{backend.at}{backend.name}", "value": backend.service}


def _split(rule: Rule, weight: Fraction, most: int) -> tuple[int, int]:
    """The weights of the canary and of stable."""
    if weight == 0:
        return 0, rule.both
    percent = f"{float(weight * 100):g}%"
    if rule.others:
        part = weight * rule.both
        if part.denominator != 1:
            others = ", ".join(each.service for each in rule.others)
            raise Failure(
                f"{rule.called} gives the Service and its canary the weight {rule.both} beside {others}, of which "
                f"{percent} is no whole number; multiply all weights of the rule by {part.denominator}, which changes "
                f"nobody's share, and run the playbook again."
            )
        return int(part), rule.both - int(part)
    whole = math.lcm(WHOLE, weight.denominator)
    canary = int(weight * whole)
    if max(canary, whole - canary) > most:
        raise Failure(
            f"The weight {percent} is too fine for {rule.called}, whose weights go up to {most}; ask for a rounder one."
        )
    return canary, whole - canary


class Backends:
    """A kind of routers whose objects have the weights of their backends: what follows from their rules."""

    KIND: str
    MOST: int  #: of a weight
    OWN = False

    def leading(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> list[Rule]:
        """The rules that lead to stable's Service, those of `rules` where it names some."""
        raise NotImplementedError

    def elsewhere(self, stable: str) -> str:
        """That an object has nothing that leads to stable's Service, and which one has, in words after its name."""
        raise NotImplementedError

    def refuse(self, item: Object, rules: t.Sequence[Rule], stable: str) -> None:
        """Raise Failure where users of these rules would not get what their weights say."""
        raise NotImplementedError

    def check(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> None:
        """Raise Failure where an object cannot share the traffic of these Services."""
        found = self.leading(item, stable, canary, rules)
        if not found:
            raise Failure(f"{self.KIND} {item['metadata']['name']} {self.elsewhere(stable)}")
        self.refuse(item, found, stable)
        for rule in found:
            if rule.both == 0:
                raise Failure(
                    f"{rule.called} gives Service {stable} the weight 0, so there is no traffic to share; give it a "
                    "weight first."
                )

    def leads(self, item: Object, stable: str) -> bool:
        """Whether users come to stable's Service by it."""
        return bool(self.leading(item, stable, "", ()))

    def own(self, _item: Object, _stable: str, _canary: str, _weight: Fraction) -> Object:
        """Nothing: the object itself has the weights."""
        return {}

    def has(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> bool:
        """Whether the canary's Service is a backend, with whatever weight."""
        return any(rule.canary is not None for rule in self.leading(item, stable, canary, rules))

    def share(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> Fraction | None:
        """The canary's share (0..1) of what both Services get; None where the rules do not agree."""
        found = {
            Fraction(rule.canary.weight if rule.canary else 0, rule.both) if rule.both else None
            for rule in self.leading(item, stable, canary, rules)
        }
        return found.pop() if len(found) == 1 else None

    def weights(self, item: Object, stable: str, rules: t.Sequence[str]) -> list[int]:
        """Stable's weights, one a rule."""
        return [rule.stable.weight for rule in self.leading(item, stable, "", rules)]

    def weighted(
        self, item: Object, stable: str, canary: str, rules: t.Sequence[str], weight: Fraction
    ) -> list[Object]:
        """The JSON patch that gives the canary this share of what both Services get, with its Service as a backend.

        Other backends and their weights stay as they are. Raises Failure where whole weights cannot give the share.
        """
        patch: list[Object] = []
        for rule in self.leading(item, stable, canary, rules):
            new, rest = _split(rule, weight, self.MOST)
            if rule.canary is None:
                patch += [_test(rule.stable), rule.add(new)]
            else:
                patch += _set(rule.canary, new)
            patch += _set(rule.stable, rest)
        return patch

    def without(
        self, item: Object, stable: str, canary: str, rules: t.Sequence[str], before: t.Sequence[int]
    ) -> list[Object]:
        """The JSON patch that takes the canary's Service out; `before` are stable's weights from before it."""
        patch: list[Object] = []
        found = self.leading(item, stable, canary, rules)
        for number, rule in enumerate(found):
            if rule.canary is None:
                continue
            # With others beside it, what both held together is stable's share; alone, any weight is all of it.
            known = not rule.others and len(before) == len(found) and before[number] > 0
            patch += _set(rule.stable, before[number] if known else rule.both)
            patch += [_test(rule.canary), {"op": "remove", "path": rule.canary.at}]
        return patch

    def given(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> dict[str, int]:
        """The weights of both Services, by the paths of their fields."""
        return {
            each.field: each.weight
            for rule in self.leading(item, stable, canary, rules)
            for each in (rule.stable, rule.canary)
            if each is not None
        }


class ByRules(Backends):
    """A kind of routers whose objects have several rules, which may have names."""

    RULES: str  #: the field of the spec that has them
    CALLED: str  #: as a message names one

    def rule(self, item: Object, number: int, stable: str, canary: str) -> Rule | None:
        """A rule of an object, None where it does not lead to stable's Service."""
        raise NotImplementedError

    def leading(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> list[Rule]:
        """The rules that lead to stable's Service, those of `rules` where it names some."""
        return [
            found
            for number, rule in enumerate(item["spec"].get(self.RULES) or [])
            if not rules or rule.get("name") in rules
            for found in [self.rule(item, number, stable, canary)]
            if found is not None
        ]

    def check(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> None:
        """Raise Failure where an object has no rule of one of these names, or cannot share the traffic."""
        names = [each.get("name") for each in item["spec"].get(self.RULES) or []]
        for missing in [each for each in rules if each not in names]:
            known = ", ".join(str(each) for each in names if each) or f"none of its {self.CALLED}s has a name"
            raise Failure(
                f"{self.KIND} {item['metadata']['name']} has no {self.CALLED} {missing} ({known}); name another one, "
                "or none for all of them."
            )
        super().check(item, stable, canary, rules)
