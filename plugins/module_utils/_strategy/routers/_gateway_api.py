# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HTTPRoutes of Gateway API: weights of the backends of their rules, and what their gateways say of them.

Pure functions of plain objects.
"""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _backends
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._answer import Answer
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._backends import Backend, Rule

Object = t.Dict[str, t.Any]

GROUP = "gateway.networking.k8s.io"


def _is(backend: Object, service: str, namespace: str) -> bool:
    return (
        backend.get("name") == service
        and backend.get("kind", "Service") == "Service"
        and not backend.get("group")
        and (backend.get("namespace") or namespace) == namespace
    )


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


class HTTPRoutes(_backends.ByRules):
    """What is known of HTTPRoutes."""

    KIND = "HTTPRoute"
    RULES, CALLED = "rules", "rule"
    MOST = 1_000_000  # as the API has it

    def rule(self, item: Object, number: int, stable: str, canary: str) -> Rule | None:
        """A rule, None where it does not lead to stable's Service."""
        namespace = str(item["metadata"].get("namespace") or "")
        path, field = f"/spec/rules/{number}/backendRefs", f"spec.rules[{number}].backendRefs"
        refs = item["spec"]["rules"][number].get("backendRefs") or []
        at, beside = _backends.places(refs, lambda each, service: _is(each, service, namespace), stable, canary)
        if at is None:
            return None
        backends = [
            Backend(
                service=str(each.get("name")),
                weight=int(each.get("weight", 1)),
                said=each.get("weight", 1),
                at=f"{path}/{index}",
                name="/name",
                field=f"{field}[name={each.get('name')}].weight",
            )
            for index, each in enumerate(refs)
        ]
        copied = {key: refs[at][key] for key in ("group", "kind", "namespace", "port") if key in refs[at]}
        return _backends.rule(
            f"Rule {number} of {self.KIND} {item['metadata']['name']}",
            item["spec"]["rules"][number],
            backends,
            at,
            beside,
            path,
            {**copied, "name": canary},
        )

    def elsewhere(self, stable: str) -> str:
        """That a route does not lead to stable's Service."""
        return (
            f"does not lead to Service {stable}, so it cannot share its traffic; name the HTTPRoute whose backendRefs "
            "have that Service."
        )

    def refuse(self, _item: Object, rules: t.Sequence[Rule], _stable: str) -> None:
        """Raise Failure where users would stay with a version."""
        for rule in rules:
            if rule.source.get("sessionPersistence"):
                raise Failure(
                    f"{rule.called} has sessionPersistence, so users would stay with a version whatever the weights "
                    f"are; take it out for the duration of the rollout."
                )

    def answer(self, item: Object) -> Answer:
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


ROUTER = HTTPRoutes()
