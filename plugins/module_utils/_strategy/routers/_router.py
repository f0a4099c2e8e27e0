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
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _gateway_api
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
    },
}


class Kind(t.Protocol):
    """What is known of one kind of routers."""

    KIND: str
    PLURAL: str
    GROUP: str

    def check(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> None:
        """Raise Failure where the object cannot share the traffic of these Services."""

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

    def given(self, item: Object, stable: str, canary: str, rules: t.Sequence[str]) -> dict[str, int]:
        """The weights of both Services, by the paths of their fields."""

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


def named(option: t.Mapping[str, t.Any] | None) -> Router | None:
    """The router that a request names, None where it names none. Raises Failure."""
    said = {key: value for key, value in (option or {}).items() if value}
    if not said:
        return None
    route = said["gateway_api"]
    if not route["route"]:
        raise Failure("gateway_api of the router has an empty route; give the name of the application's HTTPRoute.")
    return Router(t.cast(Kind, _gateway_api), route["route"], tuple(route["rules"] or ()))
