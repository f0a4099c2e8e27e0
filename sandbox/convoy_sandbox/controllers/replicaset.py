# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ReplicaSet controller: as many pods as asked for, and their counts."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from .. import documents, resources, times
from ..errors import ApiError
from ..kinds.pods import random_suffix
from ..registry import Registry
from ..selectors import labels_of
from ..store import Change, Object, Store
from . import conditions
from .events import Recorder
from .owners import Index, claim, concerned, owned_by, owner_reference
from .runtime import Controller

#: How long a ReplicaSet that cannot create pods waits, doubled each time: the controllers' rate limiter.
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 0.005, 1000.0


def is_active(pod: Object) -> bool:
    """Whether a pod counts as a replica."""
    return pod["status"].get("phase") not in ("Succeeded", "Failed") and not pod["metadata"].get("deletionTimestamp")


def is_terminating(pod: Object) -> bool:
    """Whether a pod is on its way out but still there."""
    return bool(pod["metadata"].get("deletionTimestamp")) and pod["status"].get("phase") not in (
        "Succeeded",
        "Failed",
    )


def is_ready(pod: Object) -> bool:
    """Whether a pod's Ready condition is True."""
    return conditions.is_true(pod["status"], "Ready")


def seconds_until_available(pod: Object, min_ready_seconds: int) -> float | None:
    """0 for an available pod, what is left of minReadySeconds for a ready one, None for one not ready."""
    condition = conditions.find(pod["status"], "Ready")
    if condition is None or condition["status"] != "True":
        return None
    if min_ready_seconds == 0:
        return 0.0
    ready = _seconds_since(condition["lastTransitionTime"], times.now())
    return max(0.0, min_ready_seconds - ready)


def next_available(pods: Iterable[Object], min_ready_seconds: int) -> float | None:
    """Seconds until the first of the pods that are ready becomes available; None where none waits."""
    return min((left for pod in pods if (left := seconds_until_available(pod, min_ready_seconds))), default=None)


def _seconds_since(text: str, now: datetime.datetime) -> float:
    since = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
    return (now - since).total_seconds()


def _deletion_cost(pod: Object) -> int:
    try:
        return int((pod["metadata"].get("annotations") or {})["controller.kubernetes.io/pod-deletion-cost"])
    except (KeyError, ValueError):
        return 0


def deletion_order(pods: list[Object], pods_on_node: dict[str, int], now: datetime.datetime) -> list[Object]:
    """The pods of a ReplicaSet, those first that are taken away first.

    Not scheduled before scheduled, not ready before ready, lower deletion cost, fuller nodes, ready for
    a shorter time, restarted more often, created later. Times count by their magnitude only (powers of 2),
    and chance, the uid, decides between those that are left: so old pods do not all stay on one node.
    """

    def magnitude(text: str) -> int:
        seconds = _seconds_since(text, now)
        return int(seconds * 1e9).bit_length() if seconds >= 1 else 0  # of nanoseconds, as a real one has it

    def rank(pod: Object) -> tuple[object, ...]:
        meta, status = pod["metadata"], pod["status"]
        phase = {"Pending": 0, "Unknown": 1}.get(status.get("phase", "Pending"), 2)
        ready = conditions.find(status, "Ready")
        restarts = [entry.get("restartCount", 0) for entry in status.get("containerStatuses") or ()]
        return (
            bool(pod["spec"].get("nodeName")),
            phase,
            is_ready(pod),
            _deletion_cost(pod),
            -pods_on_node.get(pod["spec"].get("nodeName", ""), 0),
            magnitude(ready["lastTransitionTime"]) if ready is not None and is_ready(pod) else 0,
            -max(restarts, default=0),
            magnitude(meta["creationTimestamp"]),
            meta["uid"],
        )

    return sorted(pods, key=rank)


def compute_status(replica_set: Object, active: list[Object], terminating: int, failure: ApiError | None) -> Object:
    """The counts, and the ReplicaFailure condition where pods cannot be created."""
    wanted = replica_set["spec"]["template"]["metadata"].get("labels") or {}
    seconds = replica_set["spec"].get("minReadySeconds", 0)
    available = sum(1 for pod in active if seconds_until_available(pod, seconds) == 0)
    counts = {
        "fullyLabeledReplicas": sum(1 for pod in active if wanted.items() <= labels_of(pod).items()),
        "readyReplicas": sum(1 for pod in active if is_ready(pod)),
        "availableReplicas": available,
    }
    status: Object = {"replicas": len(active), **{name: count for name, count in counts.items() if count}}
    status["terminatingReplicas"] = terminating
    status["observedGeneration"] = replica_set["metadata"]["generation"]
    old = replica_set["status"].get("conditions")
    if old:
        status["conditions"] = documents.copied(old)
    if failure is not None:
        conditions.put(status, "ReplicaFailure", "True", "FailedCreate", failure.message, updated=False)
    elif old:
        status["conditions"] = [c for c in status["conditions"] if c["type"] != "ReplicaFailure"]
        if not status["conditions"]:
            del status["conditions"]
    return status


class ReplicaSetController(Controller[tuple[str, str]]):
    """Creates and deletes pods."""

    def __init__(self, store: Store, registry: Registry, index: Index) -> None:
        super().__init__(store, registry, "replicaset")
        self._index = index
        self._events = Recorder(registry, "replicaset-controller")
        self._backoff: dict[tuple[str, str], float] = {}

    def start(self) -> None:
        """Follow ReplicaSets and their pods."""
        super().start()
        for replica_set in self._store.list(resources.REPLICASETS):
            self._queue.add((replica_set["metadata"]["namespace"], replica_set["metadata"]["name"]))

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        if change.resource == resources.REPLICASETS:
            self._queue.add((meta["namespace"], meta["name"]))
        elif change.resource == resources.PODS:
            for key in concerned(self._store, resources.REPLICASETS, "ReplicaSet", change):
                self._queue.add(key)

    def _reconcile(self, key: tuple[str, str]) -> None:
        namespace, name = key
        replica_set = self._store.get(resources.REPLICASETS, namespace, name)
        if replica_set is None:
            self._backoff.pop(key, None)
            return
        uid = replica_set["metadata"]["uid"]
        candidates = (pod for pod in self._store.list(resources.PODS, namespace) if is_active(pod))
        claim(self._registry, resources.PODS, replica_set, candidates)
        pods = [pod for _, pod in self._index.of(uid, resources.PODS) if owned_by(pod, uid)]
        active = [pod for pod in pods if is_active(pod)]
        failure = None
        if not replica_set["metadata"].get("deletionTimestamp"):
            failure = self._manage(replica_set, active)
        status = compute_status(replica_set, active, sum(1 for pod in pods if is_terminating(pod)), failure)
        self._write_status(resources.REPLICASETS, replica_set, status)
        seconds = replica_set["spec"].get("minReadySeconds", 0)
        if (left := next_available(active, seconds)) is not None:
            self._queue.add_after(key, left)
        if failure is None:
            self._backoff.pop(key, None)
        else:
            delay = self._backoff.get(key, _FIRST_RETRY_SECONDS)
            self._backoff[key] = min(delay * 2, _LAST_RETRY_SECONDS)
            self._queue.add_after(key, delay)

    def _manage(self, replica_set: Object, active: list[Object]) -> ApiError | None:
        missing = replica_set["spec"]["replicas"] - len(active)
        if missing < 0:
            on_node: dict[str, int] = {}
            for pod in active:
                node = pod["spec"].get("nodeName", "")
                on_node[node] = on_node.get(node, 0) + 1
            for pod in deletion_order(active, on_node, times.now())[:-missing]:
                self._registry.delete(resources.PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
                self._events.event(replica_set, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        # Batches of 1, 2, 4 ...: what cannot succeed fails a few times only.
        batch = 1
        while missing > 0:
            for _ in range(min(batch, missing)):
                try:
                    self._create(replica_set)
                except ApiError as error:
                    return error
            missing -= min(batch, missing)
            batch *= 2
        return None

    def _create(self, replica_set: Object) -> None:
        meta = replica_set["metadata"]
        template = documents.copied(replica_set["spec"]["template"])
        prefix = f"{meta['name']}-"
        name = prefix[:58] + random_suffix()
        pod: Object = {
            "metadata": {
                **template.get("metadata", {}),
                "generateName": prefix,
                "name": name,
                "namespace": meta["namespace"],
                "ownerReferences": [owner_reference(replica_set)],
            },
            "spec": template["spec"],
        }
        try:
            self._registry.create(resources.PODS, meta["namespace"], pod, manager="kube-controller-manager")
        except ApiError as error:
            if error.reason != "NotFound":
                self._events.event(replica_set, "FailedCreate", f"Error creating: {error.message}", warning=True)
            raise
        self._events.event(replica_set, "SuccessfulCreate", f"Created pod: {name}")
