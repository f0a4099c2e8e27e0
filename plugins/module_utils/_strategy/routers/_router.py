# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Routers: what shares an application's traffic out by weights, and what each kind of them has to answer.

A router shares traffic between two Services, that of stable and that of the canary, or those of two colours. Pure
functions of plain objects.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import (
    _gateway_api,
    _ingress,
    _istio,
    _openshift,
    _traefik,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._answer import Answer

Object = t.Dict[str, t.Any]

#: What a request says of its router, as an argument spec. One that says nothing has it found.
OPTION: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        "pods": {"type": "bool"},
        "gateway_api": {
            "type": "dict",
            "options": {
                "route": {"type": "str", "required": True},
                "rules": {"type": "list", "elements": "str", "default": []},
            },
        },
        "ingress": {"type": "dict", "options": {"name": {"type": "str", "required": True}}},
        "istio": {
            "type": "dict",
            "options": {
                "virtual_service": {"type": "str", "required": True},
                "routes": {"type": "list", "elements": "str", "default": []},
            },
        },
        "traefik": {"type": "dict", "options": {"service": {"type": "str", "required": True}}},
        "openshift": {"type": "dict", "options": {"route": {"type": "str", "required": True}}},
    },
}


class Kind(t.Protocol):
    """What is known of one kind of routers.

    The weights are in an object: the route that users come in by, or where `OWN` says so one of the canary's own beside
    it, which is created for it and deleted again, and is {} where there is none.
    """

    KIND: str
    OWN: bool

    def leads(self, item: Object, stable: str) -> bool:
        """Whether users come to stable's Service by a route."""

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
    rules: str = ""  #: the option with the names of the rules that are meant


KINDS = {
    "gateway_api": _Known(_gateway_api.ROUTER, "route", "rules"),
    "ingress": _Known(_ingress, "name"),
    "istio": _Known(_istio.ROUTER, "virtual_service", "routes"),
    "traefik": _Known(_traefik.ROUTER, "service"),
    "openshift": _Known(_openshift.ROUTER, "route"),
}


PODS = {"pods": True}  #: what a request says that has its share by the number of pods, whatever leads to them


def _said(option: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    return {key: value for key, value in (option or {}).items() if value}


def is_left_out(option: t.Mapping[str, t.Any] | None) -> bool:
    """Whether a request does not say what shares the traffic, so that it is to be found."""
    return not _said(option)


def named(option: t.Mapping[str, t.Any] | None) -> Router | None:
    """The router that a request names, None where it names none. Raises Failure."""
    said = _said(option)
    if len(said) > 1:
        raise Failure(
            f"The router is given as {' and as '.join(said)}; only one router can share the traffic, so set one."
        )
    if not said or said == PODS:
        return None
    ((key, value),) = said.items()
    known = KINDS[key]
    name = value[known.name]
    if not name:
        raise Failure(
            f"{key} of the router has an empty {known.name}; set the name of the application's {known.kind.KIND}."
        )
    return Router(t.cast(Kind, known.kind), name, tuple(value.get(known.rules) or ()))


def option(router: Router | None) -> dict[str, t.Any]:
    """What names a router in a request, as `named` takes it."""
    if router is None:
        return dict(PODS)
    key = next(key for key, known in KINDS.items() if known.kind.KIND == router.kind.KIND)
    known = KINDS[key]
    return {key: {known.name: router.name, **({known.rules: list(router.rules)} if known.rules else {})}}


def check_entry(router: Router | None, application: str, entry: t.Mapping[str, t.Any]) -> None:
    """Raise Failure where requests would not come in by the router that is to share them out."""
    if router is None or comes_by(application, entry):
        return
    raise Failure(
        f"Users come in by {router}, so only requests to its gateway show the shares; set in application_entry the "
        "url of the gateway, or its service, and in headers the Host of the route, and leave source out."
    )


def comes_by(application: str, entry: t.Mapping[str, t.Any]) -> bool:
    """Whether requests may come in by what shares them out, and not at the application's own Service."""
    asked = (entry.get("source") or "traffic") == "traffic"  # what is counted in the cluster is not led by weights
    return asked and bool(entry.get("url") or (entry.get("service") and entry["service"] != application))


def noted(text: str) -> Router | None:
    """The router that was noted in words, such as HTTPRoute hello; None where nothing known was."""
    kind, _space, name = text.partition(" ")
    return next((Router(t.cast(Kind, each.kind), name) for each in KINDS.values() if kind == each.kind.KIND), None)


def one(routers: t.Sequence[Router], service: str) -> Router | None:
    """The router by which users come to a Service, None where there is none. Raises Failure where there are several."""
    if len(routers) < 2:
        return routers[0] if routers else None
    said = " or ".join(json.dumps(option(each)).replace('"', "").replace(", rules: []", "") for each in routers)
    raise Failure(
        f"{', '.join(map(str, routers[:-1]))} and {routers[-1]} lead to Service {service}, and only one of them can "
        f"share its traffic; set application_router to {said}, or as {{pods: true}} to share by the number of pods."
    )
