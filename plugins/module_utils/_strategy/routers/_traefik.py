# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TraefikServices that share their traffic out by weights. Pure functions of plain objects."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _backends
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._answer import Answer
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._backends import Backend, Rule

Object = t.Dict[str, t.Any]


#: What the canary's entry takes from stable's: how its Service is asked is the same.
KEPT = ("kind", "namespace", "port", "scheme", "serversTransport", "passHostHeader", "responseForwarding", "strategy")


def _is(entry: Object, service: str, namespace: str) -> bool:
    return (
        entry.get("name") == service
        and entry.get("kind", "Service") == "Service"
        and (entry.get("namespace") or namespace) == namespace
    )


class TraefikServices(_backends.Backends):
    """What is known of TraefikServices."""

    KIND = "TraefikService"
    MOST = 1_000_000

    def leading(self, item: Object, stable: str, canary: str, _rules: t.Sequence[str]) -> list[Rule]:
        """Its weighted services as a rule, none where they do not lead to stable's."""
        namespace = str(item["metadata"].get("namespace") or "")
        entries = (item["spec"].get("weighted") or {}).get("services") or []
        at, beside = _backends.places(entries, lambda each, name: _is(each, name, namespace), stable, canary)
        if at is None:
            return []
        path = "/spec/weighted/services"
        backends = [
            Backend(
                service=str(each.get("name")),
                weight=int(each.get("weight", 1)),
                said=each.get("weight"),
                at=f"{path}/{index}",
                name="/name",
                field=f"spec.weighted.services[name={each.get('name')}].weight",
            )
            for index, each in enumerate(entries)
        ]
        copied = {key: entries[at][key] for key in KEPT if key in entries[at]}
        return [
            _backends.rule(
                f"{self.KIND} {item['metadata']['name']}",
                item["spec"]["weighted"],
                backends,
                at,
                beside,
                path,
                {**copied, "name": canary},
            )
        ]

    def elsewhere(self, stable: str) -> str:
        """That a TraefikService does not lead to stable's Service."""
        return (
            f"has no Service {stable} among its weighted services, so it cannot share its traffic; give it "
            "spec.weighted.services with that Service, and make the IngressRoute lead to it."
        )

    def refuse(self, _item: Object, rules: t.Sequence[Rule], _stable: str) -> None:
        """Raise Failure where users would stay with a version."""
        for rule in rules:
            if rule.source.get("sticky"):
                raise Failure(
                    f"{rule.called} is sticky, so users would stay with a version whatever the weights are; take "
                    f"sticky out for the duration of the rollout."
                )

    def answer(self, _item: Object) -> Answer:
        """Traefik writes no status of these."""
        return Answer("not told")


ROUTER = TraefikServices()
