# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of ValidatingAdmissionPolicies: that their present form has been looked at. Types are not checked."""

from __future__ import annotations

from ..admission.policies import POLICIES
from ..registry import Registry
from ..store import Change, Store
from .runtime import Controller


class PolicyController(Controller[str]):
    """Says which generation of a policy has been looked at."""

    def __init__(self, store: Store, registry: Registry) -> None:
        super().__init__(store, registry, "validatingadmissionpolicy-status")

    def _changed(self, change: Change) -> None:
        if change.resource == POLICIES and change.type != "DELETED":
            self._queue.add(change.object["metadata"]["name"])

    def _reconcile(self, key: str) -> None:
        policy = self._store.get(POLICIES, "", key)
        if policy is None:
            return
        status = {"observedGeneration": policy["metadata"].get("generation", 1), "typeChecking": {}}
        if policy.get("status") != status:
            self._registry.modify(
                POLICIES, "", key, lambda obj: obj.update(status=status),
                subresource="status", manager="kube-controller-manager",
            )  # fmt: skip
