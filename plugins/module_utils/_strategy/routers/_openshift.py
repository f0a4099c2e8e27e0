# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Routes of OpenShift: the weights of the Service that they lead to and of its alternate backends.

Pure functions of plain objects.
"""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _backends
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._answer import Answer
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._backends import Backend, Rule

Object = t.Dict[str, t.Any]

DEFAULT = 100  #: of a backend that says none
ALTERNATES = 3  #: at most
COOKIES = "haproxy.router.openshift.io/disable_cookies"
BALANCE = "haproxy.router.openshift.io/balance"


def _backend(entry: Object, at: str, field: str) -> Backend:
    said = entry.get("weight")
    return Backend(str(entry.get("name")), DEFAULT if said is None else int(said), said, at, "/name", field)


class Routes(_backends.Backends):
    """What is known of Routes."""

    KIND = "Route"
    MOST = 256

    def leading(self, item: Object, stable: str, canary: str, _rules: t.Sequence[str]) -> list[Rule]:
        """Its backends as a rule, none where the first of them is not stable's Service."""
        target, alternates = item["spec"].get("to") or {}, item["spec"].get("alternateBackends") or []
        if target.get("name") != stable:
            return []
        path = "/spec/alternateBackends"
        others = [
            _backend(each, f"{path}/{at}", f"spec.alternateBackends[name={each.get('name')}].weight")
            for at, each in enumerate(alternates)
        ]
        new = {"kind": "Service", "name": canary}

        def add(weight: int) -> Object:
            value = {**new, "weight": weight}
            if not alternates:
                return {"op": "add", "path": path, "value": [value]}
            return {"op": "add", "path": f"{path}/-", "value": value}

        return [
            Rule(
                called=f"{self.KIND} {item['metadata']['name']}",
                source=item["spec"],
                stable=_backend(target, "/spec/to", "spec.to.weight"),
                canary=next((each for each in others if canary and each.service == canary), None),
                others=[each for each in others if each.service != canary],
                add=add,
            )
        ]

    def elsewhere(self, stable: str) -> str:
        """That a Route does not lead to stable's Service."""
        return (
            f"does not lead to Service {stable} by spec.to, so it cannot share its traffic; name the Route that does."
        )

    def refuse(self, item: Object, rules: t.Sequence[Rule], _stable: str) -> None:
        """Raise Failure where users would stay with a version, or there is no room for another backend."""
        name, noted = item["metadata"]["name"], item["metadata"].get("annotations") or {}
        passed = (item["spec"].get("tls") or {}).get("termination") == "passthrough"
        if not passed and str(noted.get(COOKIES, "")).lower() != "true":
            raise Failure(
                f"The router gives the users of Route {name} a cookie by which they stay with a version whatever the "
                f"weights are; give the Route the annotation {COOKIES}: 'true' for the duration of the rollout."
            )
        if passed and noted.get(BALANCE, "") != "roundrobin":
            raise Failure(
                f"Users of Route {name}, whose TLS is passed through, are sent by their address to where they came "
                f"before; give the Route the annotation {BALANCE}: roundrobin for the duration of the rollout."
            )
        if rules[0].canary is None and len(rules[0].others) >= ALTERNATES:
            raise Failure(
                f"Route {name} has {ALTERNATES} alternate backends, as many as there can be, so there is no room for "
                "another; remove one."
            )

    def answer(self, item: Object) -> Answer:
        """Whether every router that has answered has admitted it; they do not say for which generation."""
        said = (item.get("status") or {}).get("ingress") or []
        if not said:
            return Answer("not yet", "no router has answered for it")
        for each in said:
            admitted = next((one for one in each.get("conditions") or [] if one.get("type") == "Admitted"), None)
            router = f"router {each.get('routerName') or 'default'}"
            if admitted is None:
                return Answer("not yet", f"{router} has not answered for it")
            if admitted.get("status") != "True":
                why = ": ".join(part for part in (admitted.get("reason"), admitted.get("message")) if part)
                return Answer("no", f"{router} does not admit it ({why})")
        return Answer("yes")


ROUTER = Routes()
