"""The disruption controller: how many pods of a PodDisruptionBudget may go."""

from __future__ import annotations

from .. import resources
from ..registry import Registry
from ..selectors import labels_of, matches
from ..store import Change, Object, Store
from .replicaset import is_active, is_ready
from .rollout_math import resolve
from .runtime import Queue


def budget_status(budget: Object, pods: list[Object]) -> Object:
    """The counts of a budget over the pods that its selector picks."""
    spec = budget["spec"]
    expected = len(pods)
    healthy = sum(1 for pod in pods if is_ready(pod))
    if "maxUnavailable" in spec:
        desired = max(0, expected - resolve(spec["maxUnavailable"], expected, up=True))
    else:
        desired = resolve(spec.get("minAvailable", 1), expected, up=True)
    return {
        "observedGeneration": budget["metadata"]["generation"],
        "disruptionsAllowed": max(0, healthy - desired) if expected else 0,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
    }


class DisruptionController:
    """Keeps the status of PodDisruptionBudgets."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._queue = Queue("disruption", self._reconcile)

    def start(self) -> None:
        """Follow budgets and pods."""
        self._unsubscribe = self._store.subscribe(self._changed)

    def close(self) -> None:
        """Stop."""
        self._unsubscribe()
        self._queue.close()

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
            if is_active(pod) and matches(budget["spec"].get("selector"), labels_of(pod))
        ]
        status = budget_status(budget, pods)
        self._registry.modify(
            resources.PODDISRUPTIONBUDGETS, namespace, name, lambda obj: obj["status"].update(status),
            subresource="status", manager="kube-controller-manager",
        )  # fmt: skip
