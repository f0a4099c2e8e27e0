# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes that fall silent, and the pods that taints drive from their nodes."""

from __future__ import annotations

import datetime

from .. import resources, times
from ..registry import Registry
from ..settings import Settings
from ..store import Change, Object, Store
from ..times import timestamp
from ..workqueue import Queue
from . import conditions
from .events import Recorder
from .kubelet import Kubelet
from .nodes import HEALTHY
from .scheduler import tolerates

_UNREACHABLE = "node.kubernetes.io/unreachable"
_SILENT = ("NodeStatusUnknown", "Kubelet stopped posting node status.")


def seconds_on_node(pod: Object, node: Object, now: datetime.datetime) -> float | None:
    """How long a pod may stay under its node's NoExecute taints: 0 for no longer, None for ever."""
    left: list[float] = []
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] != "NoExecute":
            continue
        if not tolerates(pod, taint):
            return 0.0
        limits = [
            toleration["tolerationSeconds"]
            for toleration in pod["spec"].get("tolerations") or ()
            if "tolerationSeconds" in toleration and tolerates({"spec": {"tolerations": [toleration]}}, taint)
        ]
        if limits:
            since = datetime.datetime.fromisoformat(taint["timeAdded"]) if taint.get("timeAdded") else now
            left.append(max(0.0, min(limits) - (now - since).total_seconds()))
    return min(left, default=None)


class NodeLifecycle:
    """Stops nodes on demand, tells what their silence means, and evicts pods by NoExecute taints."""

    def __init__(self, store: Store, registry: Registry, settings: Settings, kubelet: Kubelet) -> None:
        self._store = store
        self._registry = registry
        self._settings = settings
        self._kubelet = kubelet
        self._events = Recorder(registry, "node-controller")
        self._taints = Recorder(registry, "taint-eviction-controller")
        self._lost = Queue("node lifecycle", self._mark)
        self._evictions = Queue("taint eviction", self._evict)

    def start(self) -> None:
        """Follow nodes and pods."""
        self._unsubscribe = self._store.subscribe(self._changed)

    def close(self) -> None:
        """Stop."""
        self._unsubscribe()
        self._lost.close()
        self._evictions.close()

    def stop_node(self, name: str) -> None:
        """Take a node's power away: its containers are gone at once, and nobody is told. Raises ApiError 404."""
        self._registry.get(resources.NODES, "", name)
        self._kubelet.stop_node(name)
        self._lost.add_after(name, self._settings.timing.node_grace)

    def start_node(self, name: str) -> None:
        """Give a node its power back: it is ready, and its pods start again."""
        self._kubelet.start_node(name)
        self._lost.add(name)

    def _changed(self, change: Change) -> None:
        if change.type == "DELETED":
            return
        if change.resource == resources.NODES and change.object["spec"].get("taints"):
            for pod in self._store.list(resources.PODS):
                if pod["spec"].get("nodeName") == change.object["metadata"]["name"]:
                    self._evictions.add((pod["metadata"]["namespace"], pod["metadata"]["name"]))
        elif change.resource == resources.PODS and change.object["spec"].get("nodeName"):
            node = self._store.get(resources.NODES, "", change.object["spec"]["nodeName"])
            if node is not None and node["spec"].get("taints"):
                meta = change.object["metadata"]
                self._evictions.add((meta["namespace"], meta["name"]))

    # -- silent nodes ------------------------------------------------------------------------------

    def _mark(self, name: str) -> None:
        """A node that has been silent for too long is not ready, nor are its pods; one that speaks is ready."""
        node = self._store.get(resources.NODES, "", name)
        if node is None:
            return
        silent = self._kubelet.is_stopped(name)
        now = timestamp()

        def tell(obj: Object) -> None:
            for condition in obj["status"]["conditions"]:
                if silent:
                    condition.update(status="Unknown", reason=_SILENT[0], message=_SILENT[1], lastTransitionTime=now)
                else:
                    condition.update(HEALTHY[condition["type"]], lastTransitionTime=now, lastHeartbeatTime=now)

        def taint(obj: Object) -> None:
            kept = [t for t in obj["spec"].pop("taints", None) or () if t["key"] != _UNREACHABLE]
            if silent:
                kept.append({"key": _UNREACHABLE, "effect": "NoSchedule", "timeAdded": now})
                kept.append({"key": _UNREACHABLE, "effect": "NoExecute", "timeAdded": now})
            if kept:
                obj["spec"]["taints"] = kept

        manager = "kube-controller-manager" if silent else "kubelet"
        self._registry.modify(resources.NODES, "", name, tell, subresource="status", manager=manager)
        self._registry.modify(resources.NODES, "", name, taint, manager="kube-controller-manager")
        if silent:
            self._events.event(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
            self._mark_pods(name, now)

    def _mark_pods(self, node: str, now: str) -> None:
        for pod in self._store.list(resources.PODS):
            if pod["spec"].get("nodeName") != node or not conditions.is_true(pod["status"], "Ready"):
                continue
            meta = pod["metadata"]

            def change(obj: Object) -> None:
                for condition in obj["status"]["conditions"]:
                    if condition["type"] == "Ready":
                        condition.update(status="False", lastTransitionTime=now)

            self._registry.modify(
                resources.PODS, meta["namespace"], meta["name"], change,
                subresource="status", manager="kube-controller-manager",
            )  # fmt: skip
            self._events.event(pod, "NodeNotReady", "Node is not ready", warning=True)

    # -- taints --------------------------------------------------------------------------------------

    def _evict(self, key: tuple[str, str]) -> None:
        pod = self._store.get(resources.PODS, *key)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return
        node = self._store.get(resources.NODES, "", pod["spec"].get("nodeName", ""))
        if node is None:
            return
        left = seconds_on_node(pod, node, times.now())
        if left is None:
            return
        if left > 0:
            self._evictions.add_after(key, left)
            return
        self._taints.event(pod, "TaintManagerEviction", f"Marking for deletion Pod {key[0]}/{key[1]}")
        why = ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
        self._registry.modify(
            resources.PODS, *key, lambda it: conditions.disrupt(it["status"], *why),
            subresource="status", manager="kube-controller-manager",
        )  # fmt: skip
        self._registry.delete(resources.PODS, *key)
