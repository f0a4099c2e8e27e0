# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Routers: what shares an application's traffic out by weights, and what each kind of them has to answer.

A router shares traffic between two Services, that of stable and that of the canary. Pure functions of plain objects.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _gateway_api, _ingress
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._answer import Answer

Object = t.Dict[str, t.Any]

#: What a request says of its router, as an argument spec.
OPTION: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        "gateway_api": {
            "type": "dict",
            "options": {
                "route": {"type": "str", "required": True},
                "rules": {"type": "list", "elements": "str", "default": []},
            },
        },
        "ingress": {"type": "dict", "options": {"name": {"type": "str", "required": True}}},
    },
}


class Kind(t.Protocol):
    """What is known of one kind of routers.

    The weights are in an object: the route that users come in by, or where `OWN` says so one of the canary's own beside
    it, which is created for it and deleted again, and is {} where there is none.
    """

    KIND: str
    PLURAL: str
    GROUP: str
    VERSION: str
    OWN: bool

    def check(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> None:
        """Raise Failure where the route cannot share the traffic of these Services."""

    def own(self, item: Object, stable: str, canary: str, weight: Fraction) -> Object:
        """The manifest of the canary's own object beside the route, which gives it this share."""

    def has(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> bool:
        """Whether the object leads to the canary's Service, with whatever weight."""

    def share(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> Fraction | None:
        """The canary's share (0..1) of what both Services get; None where the rules do not agree."""

    def weighted(
        self, item: Object, stable: str, canary: str, rules: t.Sequence[str], weight: Fraction
    ) -> list[Object]:
        """The JSON patch that gives the canary this share, with its Service as a backend."""

    def without(
        self, item: Object, stable: str, canary: str, rules: t.Sequence[str], before: t.Sequence[int]
    ) -> list[Object]:
        """The JSON patch that takes the canary's Service out, with stable's weights `before`."""

    def given(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> dict[str, t.Any]:
        """What gives both Services their weights, by the paths of the fields."""

    def weights(self, item: Object, stable: str, rules: t.Sequence[str]) -> list[int]:
        """Stable's weights, one a rule."""

    def answer(self, item: Object) -> Answer:
        """Whether what serves the object has accepted it as it is."""


@dataclass(frozen=True)
class Router:
    """The router of one application: an object of a kind, and the rules of it that are meant."""

    kind: Kind
    name: str
    rules: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind.KIND} {self.name}"


class _Known(t.NamedTuple):
    """A kind as a request names it."""

    kind: t.Any
    name: str  #: the option with the name of its object


KINDS = {
    "gateway_api": _Known(_gateway_api, "route"),
    "ingress": _Known(_ingress, "name"),
}


def named(option: t.Mapping[str, t.Any] | None) -> Router | None:
    """The router that a request names, None where it names none. Raises Failure."""
    said = {key: value for key, value in (option or {}).items() if value}
    if not said:
        return None
    if len(said) > 1:
        raise Failure(f"The router is given as {' and as '.join(said)}; one router shares the traffic, so give one.")
    ((key, value),) = said.items()
    known = KINDS[key]
    name = value[known.name]
    if not name:
        raise Failure(
            f"{key} of the router has an empty {known.name}; give the name of the application's {known.kind.KIND}."
        )
    return Router(t.cast(Kind, known.kind), name, tuple(value.get("rules") or ()))
