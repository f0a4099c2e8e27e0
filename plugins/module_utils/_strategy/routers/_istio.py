# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""VirtualServices of Istio: weights of the destinations of their HTTP routes, each a Service of its own.

Destinations by subset are refused: a DestinationRule, which says what a subset is, is not ours to change. Pure
functions of plain objects.
"""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _backends
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._answer import Answer
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._backends import Backend, Rule

Object = t.Dict[str, t.Any]


def _is(entry: Object, service: str, namespace: str) -> bool:
    """Whether a destination is a Service of this namespace, by its short or its full name."""
    host = str((entry.get("destination") or {}).get("host") or "")
    short, _dot, rest = host.partition(".")
    return short == service and (not rest or rest == namespace or rest.startswith(f"{namespace}.svc"))


def _subset(entry: Object) -> bool:
    return bool((entry.get("destination") or {}).get("subset"))


class VirtualServices(_backends.ByRules):
    """What is known of VirtualServices."""

    KIND = "VirtualService"
    RULES, CALLED = "http", "HTTP route"
    MOST = 1_000_000

    def rule(self, item: Object, number: int, stable: str, canary: str) -> Rule | None:
        """An HTTP route, None where it does not lead to stable's Service."""
        namespace = str(item["metadata"].get("namespace") or "")
        path, field = f"/spec/http/{number}/route", f"spec.http[{number}].route"
        entries = item["spec"]["http"][number].get("route") or []
        at, beside = _backends.places(entries, lambda each, service: _is(each, service, namespace), stable, canary)
        if at is None:
            return None
        backends = [
            Backend(
                service=str((each.get("destination") or {}).get("host")),
                # Whatever a lone destination says, it gets everything; of several one that says nothing gets nothing.
                weight=(int(each.get("weight") or 0) or _backends.WHOLE)
                if len(entries) == 1
                else each.get("weight") or 0,
                said=each.get("weight"),
                at=f"{path}/{index}",
                name="/destination/host",
                field=f"{field}[{index}].weight",
            )
            for index, each in enumerate(entries)
        ]
        destination = dict(entries[at]["destination"])
        destination["host"] = canary + destination["host"][len(stable) :]
        added = {**{key: entries[at][key] for key in ("headers",) if key in entries[at]}, "destination": destination}
        return _backends.rule(
            f"HTTP route {number} of {self.KIND} {item['metadata']['name']}",
            item["spec"]["http"][number],
            backends,
            at,
            beside,
            path,
            added,
        )

    def elsewhere(self, stable: str) -> str:
        """That a VirtualService does not lead to stable's Service."""
        return (
            f"has no HTTP route to Service {stable}, so it cannot share its traffic; name the one with that Service as "
            "the host of a destination."
        )

    def refuse(self, _item: Object, rules: t.Sequence[Rule], stable: str) -> None:
        """Raise Failure where a DestinationRule decides as well."""
        for rule in rules:
            subsets = [str(each["destination"]["subset"]) for each in rule.source["route"] if _subset(each)]
            if subsets:
                raise Failure(
                    f"{rule.called} leads to subsets ({', '.join(subsets)}), which a DestinationRule tells by pods' "
                    f"labels; make it lead to Service {stable} as a whole for the duration of the rollout."
                )

    def answer(self, _item: Object) -> Answer:
        """Istio does not say in a VirtualService which proxies have taken it over."""
        return Answer("not told")


ROUTER = VirtualServices()
