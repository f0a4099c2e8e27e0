# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a router's object shares the traffic of one Service with another, and the patches that change it.

The other Service is a canary's, or that of the colour that has no traffic yet. It remembers what is to be restored once
it is no longer a backend. Pure functions of plain objects.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _gateway_api, _testers
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._router import Router
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _managers
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import annotations_of

Object = t.Dict[str, t.Any]

ROUTER = "convoy.rollout/router"  #: of what a router shares traffic with: which router that is
WEIGHTS = "convoy.rollout/weights-before"  #: of the other Service: the weights of the first before it, one a rule


@dataclass(frozen=True)
class Split:
    """A router's object, as it shares traffic between two Services."""

    router: Router
    route: Object
    services: tuple[str, str]  #: the one that users come by, and the other
    own: Object | None = None  #: the other's own object beside the route, of a router that has its weight there

    @property
    def name(self) -> str:
        """The name of the object with the weights."""
        return self.services[1] if self.router.kind.OWN else self.router.name

    @property
    def weighing(self) -> Object:
        """The object with the weights, {} where that is the other's own one and is not there."""
        return (self.own or {}) if self.router.kind.OWN else self.route

    @property
    def tells_headers(self) -> bool:
        """Whether it can lead requests by their headers."""
        return self.router.kind is _gateway_api.ROUTER

    def has(self) -> bool:
        """Whether it leads to the other Service, with whatever weight."""
        return self.router.kind.has(self.weighing, *self.services, self.router.rules)

    def has_alone(self) -> bool:
        """Whether a rule of it leads to the other Service alone, as one for testers does."""
        return self.tells_headers and bool(_testers.places(self.route, self.services[1]))

    def share(self) -> Fraction | None:
        """The other's share (0..1) by the weights; None where the rules do not agree."""
        if self.own is not None and self.own["spec"].get("rules") != self._own_rules():
            return None  # the users' object was changed, so some of them are led by one only
        return self.router.kind.share(self.weighing, *self.services, self.router.rules)

    def check(self, shares: t.Sequence[Fraction], *, begun: bool) -> None:
        """Raise Failure where it cannot give these shares, or no gateway would hear of them.

        What was `begun` need not be accepted: it may be taken away.
        """
        self.router.kind.check(self.route, *self.services, self.router.rules)
        answer = self.router.kind.answer(self.route)
        if answer.said in ("no", "not yet") and not begun:
            raise Failure(
                f"{self.router} is not accepted by all of its gateways: {answer.why}. So its weights would not show "
                "what users get; check its status, and run the playbook again once it is accepted."
            )
        for share in shares:
            self.router.kind.weighted(self.weighing, *self.services, self.router.rules, share)

    def weighted(self, now: Object, share: Fraction) -> list[Object]:
        """The JSON patch of what has the weights that gives the other a share (0..1), as a backend."""
        patch = self.router.kind.weighted(now, *self.services, self.router.rules, share)
        if self.router.kind.OWN and now["spec"].get("rules") != self._own_rules():
            patch.append({"op": "replace", "path": "/spec/rules", "value": self._own_rules()})
        return patch

    def led(self, now: Object, headers: t.Mapping[str, str]) -> list[Object]:
        """The JSON patch after which requests with these headers, and no others, are led to the other alone."""
        if not self.tells_headers:
            return []
        return _testers.led(now, *self.services, self.router.rules, headers)

    def without(self, now: Object, before: t.Sequence[int]) -> list[Object]:
        """The JSON patch that takes the other out as a backend, with the first's weights `before`."""
        return self.router.kind.without(now, *self.services, self.router.rules, before)

    def given(self, now: Object) -> dict[str, t.Any]:
        """What gives both their traffic, by the paths of the fields."""
        led = _testers.given(now, self.services[1]) if self.tells_headers else {}
        return {**self.router.kind.given(now, *self.services, self.router.rules), **led}

    def made(self, share: Fraction, labels: t.Mapping[str, str]) -> Object:
        """The manifest of the other's own object beside the route, which gives it a share (0..1)."""
        made = self.router.kind.own(self.route, *self.services, share)
        metadata = {
            **made["metadata"],
            "labels": {**_managers.of_nobody(self.route["metadata"].get("labels") or {}), **labels},
            "annotations": {**made["metadata"].get("annotations", {}), ROUTER: str(self.router)},
        }
        return {**made, "metadata": metadata}

    def service(self, first: Object, selector: t.Mapping[str, str], labels: t.Mapping[str, str]) -> Object:
        """The manifest of the other Service: the ports of the `first`, and the pods that `selector` picks."""
        ports = [{key: value for key, value in port.items() if key != "nodePort"} for port in first["spec"]["ports"]]
        kept = {key: first["spec"][key] for key in ("ipFamilyPolicy", "ipFamilies") if key in first["spec"]}
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": self.services[1],
                "labels": {**_managers.of_nobody(first["metadata"].get("labels") or {}), **labels},
                "annotations": self.noted(),
            },
            "spec": {**kept, "selector": dict(selector), "ports": ports},
        }

    def noted(self) -> dict[str, str]:
        """The annotations by which the other Service remembers the router, and the weights from before."""
        before = self.router.kind.weights(self.route, self.services[0], self.router.rules)
        return {ROUTER: str(self.router), WEIGHTS: json.dumps(before)}

    def _own_rules(self) -> t.Any:
        """The rules that the other's own object is to have."""
        return self.router.kind.own(self.route, *self.services, Fraction(0))["spec"]["rules"]


def weights_before(service: Object | None) -> list[int]:
    """The first's weights from before, as the other Service remembers them; none where it does not."""
    try:
        found = json.loads(annotations_of(service).get(WEIGHTS, "[]")) if service is not None else []
    except ValueError:
        return []
    return [each for each in found if isinstance(each, int)] if isinstance(found, list) else []
