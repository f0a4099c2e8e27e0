# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The quota controller: `status.used` of every ResourceQuota."""

from __future__ import annotations

from .. import quota, resources
from ..registry import Registry
from ..store import Change, Object, Store
from .runtime import Controller


class QuotaController(Controller[tuple[str, str]]):
    """Counts again what a namespace uses whenever something in it changes."""

    def __init__(self, store: Store, registry: Registry) -> None:
        super().__init__(store, registry, "quota")

    def _changed(self, change: Change) -> None:
        namespace = change.object["metadata"].get("namespace")
        if not namespace or change.resource == resources.EVENTS:
            return
        for item in self._store.list(resources.RESOURCEQUOTAS, namespace):
            self._queue.add((namespace, item["metadata"]["name"]))

    def _reconcile(self, key: tuple[str, str]) -> None:
        namespace, name = key
        item = self._store.get(resources.RESOURCEQUOTAS, namespace, name)
        if item is None:
            return
        hard = item["spec"].get("hard") or {}
        used = quota.used(self._store, item, hard)

        def change(obj: Object) -> None:
            obj["status"] = {
                "hard": dict(hard),
                "used": {resource: quota.text(resource, amount) for resource, amount in used.items()},
            }

        self._registry.modify(
            resources.RESOURCEQUOTAS, namespace, name, change,
            subresource="status", manager="kube-controller-manager",
        )  # fmt: skip
