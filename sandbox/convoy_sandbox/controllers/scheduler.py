# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scheduler: which node a pod goes to, or why none can take it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from .. import quantities, resources
from ..errors import ApiError
from ..registry import Registry
from ..selectors import labels_of
from ..store import Change, Object, Store
from ..times import timestamp
from . import conditions, placement, volumes
from .events import Recorder
from .runtime import Controller

Amounts = dict[str, Decimal]
#: What a node that takes no new pods is tainted with.
_UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def requests(pod: Object) -> Amounts:
    """What a pod asks of a node: the sum of its containers, or its largest init container where that is more."""
    spec = pod["spec"]
    total: Amounts = {"pods": Decimal(1)}
    for container in spec.get("containers") or ():
        for name, value in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] = total.get(name, Decimal(0)) + quantities.parse(value)
    # A sidecar runs beside the containers; what starts before them adds to nothing but the sidecars so far.
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in spec.get("initContainers") or ():
        asked = (container.get("resources") or {}).get("requests") or {}
        for name, value in asked.items():
            amount = quantities.parse(value)
            if container.get("restartPolicy") == "Always":
                sidecars[name] = sidecars.get(name, Decimal(0)) + amount
                total[name] = total.get(name, Decimal(0)) + amount
            else:
                largest[name] = max(largest.get(name, Decimal(0)), amount + sidecars.get(name, Decimal(0)))
    return {name: max(total.get(name, Decimal(0)), largest.get(name, Decimal(0))) for name in {**total, **largest}}


def tolerates(pod: Object, taint: Object) -> bool:
    """Whether a pod has a toleration for a taint."""
    for toleration in pod["spec"].get("tolerations") or ():
        if toleration.get("effect") not in (None, "", taint["effect"]):
            continue
        if toleration.get("operator") == "Exists":
            if not toleration.get("key") or toleration["key"] == taint["key"]:
                return True
        elif toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def _matches_terms(node: Object, terms: Iterable[Object]) -> bool:
    labels = labels_of(node)
    for term in terms:
        checks = [_node_expression(e, labels.get(e["key"])) for e in term.get("matchExpressions") or ()]
        checks += [_node_expression(e, node["metadata"]["name"]) for e in term.get("matchFields") or ()]
        if checks and all(checks):
            return True
    return False


def _node_expression(expression: Object, value: str | None) -> bool:
    operator, values = expression["operator"], expression.get("values") or []
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if value is None or not value.lstrip("-").isdigit():
        return False
    return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])


def obstacle(pod: Object, node: Object) -> str:
    """Why a node is no place for a pod, whatever is free on it; "" where it is one."""
    spec = node["spec"]
    if spec.get("unschedulable") and not tolerates(pod, _UNSCHEDULABLE):
        return "node(s) were unschedulable"
    for taint in spec.get("taints") or ():
        if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerates(pod, taint):
            return "node(s) had untolerated taint(s)"
    if not matches_node(pod, node):
        return "node(s) didn't match Pod's node affinity/selector"
    if not conditions.is_true(node["status"], "Ready"):
        return "node(s) were not ready"
    return ""


def matches_node(pod: Object, node: Object) -> bool:
    """Whether a node is one that a pod's selector and required node affinity pick."""
    selector = pod["spec"].get("nodeSelector") or {}
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    return selector.items() <= labels_of(node).items() and (
        affinity is None or _matches_terms(node, affinity.get("nodeSelectorTerms") or ())
    )


def free(node: Object, pods: Iterable[Object]) -> Amounts:
    """What is left of a node's allocatable resources."""
    left = {name: quantities.parse(value) for name, value in node["status"]["allocatable"].items()}
    for pod in pods:
        for name, amount in requests(pod).items():
            left[name] = left.get(name, Decimal(0)) - amount
    return left


def shortage(asked: Amounts, left: Amounts) -> list[str]:
    """What a node has too little of, as the scheduler words it."""
    found = []
    for name, amount in asked.items():
        if amount > 0 and amount > left.get(name, Decimal(0)):
            found.append("Too many pods" if name == "pods" else f"Insufficient {name}")
    return found


def unschedulable_message(reasons: list[list[str]], helpless: int) -> str:
    """The scheduler's sentence: how many nodes, each reason with its count, and what preemption could do.

    `reasons` has a list for each node; on `helpless` nodes preempting others would not make room.
    """
    nodes = len(reasons)
    counts: dict[str, int] = {}
    for node in reasons:
        for reason in node:
            counts[reason] = counts.get(reason, 0) + 1
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    parts = []
    if nodes - helpless:
        parts.append(f"{nodes - helpless} No preemption victims found for incoming pod")
    if helpless:
        parts.append(f"{helpless} Preemption is not helpful for scheduling")
    preemption = ", ".join(parts)
    if not nodes:
        return "no nodes available to schedule pods"
    return (
        f"0/{nodes} nodes are available: {listed}. no new claims to deallocate, "
        f"preemption: 0/{nodes} nodes are available: {preemption}."
    )


class Scheduler(Controller[tuple[str, str]]):
    """Binds pods to the nodes with the most room."""

    def __init__(self, store: Store, registry: Registry) -> None:
        super().__init__(store, registry, "scheduler")
        self._events = Recorder(registry, "default-scheduler")
        self._waiting: set[tuple[str, str]] = set()
        self._on_node: dict[str, dict[tuple[str, str], Object]] = {}
        self._repelling: set[tuple[str, str]] = set()  # pods on nodes that keep others away

    def _changed(self, change: Change) -> None:
        if change.resource in (resources.NODES, resources.NAMESPACES, resources.PERSISTENTVOLUMECLAIMS):
            self._retry()
        if change.resource != resources.PODS:
            return
        pod = change.object
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        node = pod["spec"].get("nodeName")
        ended = change.type == "DELETED" or pod["status"].get("phase") in ("Succeeded", "Failed")
        if node:
            held = self._on_node.setdefault(node, {})
            if ended:
                self._repelling.discard(key)
                if held.pop(key, None) is not None:
                    self._retry()
            else:
                before = held.get(key)
                held[key] = pod
                if placement.repels(pod):
                    self._repelling.add(key)
                if before is None or labels_of(before) != labels_of(pod):
                    self._retry(demanding=True)
        if change.type == "DELETED":
            self._waiting.discard(key)
        elif not node and not ended:
            self._queue.add(key)

    def _retry(self, *, demanding: bool = False) -> None:
        """Look again at the pods that wait for a node, or only at those for whom other pods decide."""
        for key in self._waiting:
            if demanding:
                pod = self._store.get(resources.PODS, *key)
                if pod is None or not placement.is_demanding(pod):
                    continue
            self._queue.add(key)

    def _reconcile(self, key: tuple[str, str]) -> None:
        namespace, name = key
        pod = self._store.get(resources.PODS, namespace, name)
        if pod is None or pod["spec"].get("nodeName") or pod["metadata"].get("deletionTimestamp"):
            self._waiting.discard((namespace, name))
            return
        if pod["spec"].get("schedulerName") != "default-scheduler" or pod["spec"].get("schedulingGates"):
            return
        node, message = self._choose(pod)
        now = timestamp()
        if node is None:
            self._waiting.add((namespace, name))
            self._refuse(pod, message)
            return
        self._waiting.discard((namespace, name))
        condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
        bound = self._registry.bind(namespace, name, node, condition)
        self._events.event(bound, "Scheduled", f"Successfully assigned {namespace}/{name} to {node}", action="Binding")

    def _choose(self, pod: Object) -> tuple[str | None, str]:
        unbound = volumes.obstacle(self._store, pod)
        if unbound:
            count = len(self._store.list(resources.NODES))
            return None, (
                f"0/{count} nodes are available: {unbound}. no new claims to deallocate, preemption: 0/{count} nodes "
                f"are available: {count} Preemption is not helpful for scheduling."
            )
        asked = requests(pod)
        fitting: list[tuple[int, Decimal, int, str]] = []
        reasons: list[list[str]] = []
        helpless = 0
        nodes = self._store.list(resources.NODES)
        obstacles = {node["metadata"]["name"]: obstacle(pod, node) for node in nodes}
        scene = self._scene(pod, nodes)
        eligible = [node for node in nodes if matches_node(pod, node)]  # taints do not count, by default
        for node in nodes:
            name = node["metadata"]["name"]
            held = self._on_node.get(name, {})
            why = obstacles[name]
            if why:
                reasons.append([why])
                helpless += 1
                continue
            left = free(node, held.values())
            taken = placement.port_obstacle(pod, held.values())
            short = [taken] if taken else shortage(asked, left)
            if not short and scene is not None:
                crowded = placement.obstacle(pod, node, scene, eligible)
                short = [crowded] if crowded else []
                helpless += crowded in placement.UNRESOLVABLE
            if not short:
                liked = _preference(pod, node) + (placement.preference(pod, node, scene) if scene else 0)
                fitting.append((liked, _spread(node, left, asked), -len(held), name))
                continue
            reasons.append(short)
            if shortage(asked, free(node, ())):
                helpless += 1
        if fitting:
            return max(fitting)[3], ""
        return None, unschedulable_message(reasons, helpless)

    def _scene(self, pod: Object, nodes: list[Object]) -> placement.Scene | None:
        """Where all other pods are, for a pod that it makes a difference to."""
        if not self._repelling and not placement.is_demanding(pod):
            return None
        return placement.Scene(
            tuple(nodes),
            {name: held.values() for name, held in self._on_node.items()},
            {item["metadata"]["name"]: labels_of(item) for item in self._store.list(resources.NAMESPACES)},
        )

    def _refuse(self, pod: Object, message: str) -> None:
        condition = conditions.find(pod["status"], "PodScheduled")
        if condition is not None and condition.get("message") == message:
            return
        now = timestamp()

        def change(obj: Object) -> None:
            since = condition["lastTransitionTime"] if condition else now
            obj["status"]["conditions"] = [
                {
                    "type": "PodScheduled", "observedGeneration": obj["metadata"].get("generation", 1),
                    "status": "False", "lastProbeTime": None, "lastTransitionTime": since,
                    "reason": "Unschedulable", "message": message,
                }
            ]  # fmt: skip

        meta = pod["metadata"]
        try:
            stored = self._registry.modify(
                resources.PODS, meta["namespace"], meta["name"], change,
                subresource="status", manager="kube-scheduler",
            )  # fmt: skip
        except ApiError:
            return
        self._events.event(stored, "FailedScheduling", message, warning=True, action="Scheduling")


def _preference(pod: Object, node: Object) -> int:
    """The weights of the preferred node affinity that a node fits, less 100 for each taint it would rather keep."""
    terms = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "preferredDuringSchedulingIgnoredDuringExecution"
    ) or ()
    liked: int = sum(term["weight"] for term in terms if _matches_terms(node, [term.get("preference") or {}]))
    avoided = [
        taint
        for taint in node["spec"].get("taints") or ()
        if taint["effect"] == "PreferNoSchedule" and not tolerates(pod, taint)
    ]
    return liked - 100 * len(avoided)


def _spread(node: Object, left: Amounts, asked: Amounts) -> Decimal:
    """How empty a node would be with the pod on it: the mean free share of cpu, memory and pods."""
    total = Decimal(0)
    for name in ("cpu", "memory", "pods"):
        whole = quantities.parse(node["status"]["allocatable"][name])
        total += (left[name] - asked.get(name, Decimal(0))) / whole if whole else Decimal(0)
    return total
