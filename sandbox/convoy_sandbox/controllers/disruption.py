# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disruption controller: how many pods of a PodDisruptionBudget may go."""

from __future__ import annotations

from .. import resources
from ..registry import Registry
from ..selectors import labels_of, matches
from ..store import Change, Object, Store
from ..times import timestamp
from . import conditions
from .owners import controller_of
from .replicaset import is_active, is_ready
from .rollout_math import resolve
from .runtime import Controller

#: What may control pods, directly or by one of those before it, and knows how many there should be.
_SCALED = (
    ("ReplicaSet", resources.REPLICASETS),
    ("StatefulSet", resources.STATEFULSETS),
    ("Deployment", resources.DEPLOYMENTS),
)


def budget_status(budget: Object, pods: list[Object], scale: int) -> Object:
    """The counts of a budget over the pods that its selector picks.

    `scale` is how many pods their controllers were asked for: what a share or maxUnavailable is of.
    """
    spec, generation = budget["spec"], budget["metadata"]["generation"]
    healthy = sum(1 for pod in pods if is_active(pod) and is_ready(pod))
    minimum = spec.get("minAvailable", 1)
    if "maxUnavailable" in spec:
        expected = scale
        desired = max(0, expected - resolve(spec["maxUnavailable"], expected, up=True))
    else:
        expected = len(pods) if isinstance(minimum, int) else scale
        desired = resolve(minimum, expected, up=True)
    allowed = max(0, healthy - desired) if expected else 0
    value, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    condition = {
        "type": "DisruptionAllowed", "status": value, "observedGeneration": generation,
        "lastTransitionTime": timestamp(), "reason": reason, "message": "",
    }  # fmt: skip
    old = conditions.find(budget.get("status") or {}, "DisruptionAllowed")
    if old is not None and old["status"] == value:
        condition["lastTransitionTime"] = old["lastTransitionTime"]
    return {
        "observedGeneration": generation,
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": [condition],
    }


class DisruptionController(Controller[tuple[str, str]]):
    """Keeps the status of PodDisruptionBudgets."""

    def __init__(self, store: Store, registry: Registry) -> None:
        super().__init__(store, registry, "disruption")

    def _changed(self, change: Change) -> None:
        if change.resource in (resources.PODS, resources.PODDISRUPTIONBUDGETS):
            namespace = change.object["metadata"]["namespace"]
            for budget in self._store.list(resources.PODDISRUPTIONBUDGETS, namespace):
                self._queue.add((namespace, budget["metadata"]["name"]))

    def _reconcile(self, key: tuple[str, str]) -> None:
        namespace, name = key
        budget = self._store.get(resources.PODDISRUPTIONBUDGETS, namespace, name)
        if budget is None:
            return
        pods = [
            pod
            for pod in self._store.list(resources.PODS, namespace)
            if matches(budget["spec"].get("selector"), labels_of(pod))
        ]
        status = budget_status(budget, pods, self._scale(pods))
        self._registry.modify(
            resources.PODDISRUPTIONBUDGETS, namespace, name, lambda obj: obj["status"].update(status),
            subresource="status", manager="kube-controller-manager",
        )  # fmt: skip

    def _scale(self, pods: list[Object]) -> int:
        """The replicas that the topmost controllers of these pods were asked for."""
        asked: dict[str, int] = {}
        for pod in pods:
            top = pod
            for kind, resource in _SCALED:
                owner = controller_of(top)
                if owner is not None and owner["kind"] == kind:
                    top = self._store.get(resource, pod["metadata"]["namespace"], owner["name"]) or top
            if top is not pod:
                asked[top["metadata"]["uid"]] = top["spec"]["replicas"]
        return sum(asked.values())
