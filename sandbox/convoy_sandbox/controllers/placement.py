# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pods demand of each other: host ports, affinity, anti-affinity and topology spread.

Pure functions over the nodes and the pods on them. Each answers with the scheduler's words for why a node
is no place for a pod, or with "" where it is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .. import selectors
from ..selectors import labels_of
from ..store import Object

PORTS = "node(s) didn't have free ports for the requested pod ports"
SPREAD = "node(s) didn't match pod topology spread constraints"
SPREAD_LABEL = "node(s) didn't match pod topology spread constraints (missing required label)"
AFFINITY = "node(s) didn't match pod affinity rules"
ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules"
#: Where evicting other pods would make no room.
UNRESOLVABLE = frozenset({SPREAD_LABEL, AFFINITY})

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True)
class Scene:
    """The nodes that a pod might go to, what is on each of them by its name, and the namespaces' labels."""

    nodes: tuple[Object, ...]
    pods: Mapping[str, Iterable[Object]]
    namespaces: Mapping[str, Mapping[str, str]]

    def on(self, node: Object) -> Iterable[Object]:
        """The pods on a node."""
        return self.pods.get(node["metadata"]["name"], ())


def is_demanding(pod: Object) -> bool:
    """Whether other pods decide where a pod can go."""
    spec = pod["spec"]
    affinity = spec.get("affinity") or {}
    return bool(spec.get("topologySpreadConstraints") or affinity.get("podAffinity") or affinity.get("podAntiAffinity"))


def repels(pod: Object) -> bool:
    """Whether a pod keeps others away from its node."""
    return bool(_terms(pod, "podAntiAffinity"))


def obstacle(pod: Object, node: Object, scene: Scene, eligible: Iterable[Object]) -> str:
    """Why the pods of a cluster make a node no place for a pod; "" where they do not.

    `eligible` are the nodes that the pod's selector, affinity and tolerations allow, among which it is spread.
    """
    return _spread_obstacle(pod, node, scene, eligible) or _affinity_obstacle(pod, node, scene)


# -- host ports ----------------------------------------------------------------------------------


def port_obstacle(pod: Object, others: Iterable[Object]) -> str:
    """Why a pod's host ports cannot be had on a node with others; "" where they can."""
    wanted = _host_ports(pod)
    if wanted:
        taken = [port for other in others for port in _host_ports(other)]
        if any(_collide(one, other) for one in wanted for other in taken):
            return PORTS
    return ""


def _host_ports(pod: Object) -> list[tuple[str, str, int]]:
    """Address, protocol and number of each host port that a pod takes."""
    spec = pod["spec"]
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    return [
        (port.get("hostIP") or "0.0.0.0", port.get("protocol", "TCP"), port["hostPort"])
        for container in (*sidecars, *(spec.get("containers") or ()))
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    anywhere = "0.0.0.0"
    return one[1:] == other[1:] and (one[0] == other[0] or anywhere in (one[0], other[0]))


# -- affinity and anti-affinity ------------------------------------------------------------------


def _terms(pod: Object, kind: str, when: str = _REQUIRED) -> list[Object]:
    found: list[Object] = ((pod["spec"].get("affinity") or {}).get(kind) or {}).get(when) or []
    return found


def _selects(term: Object, owner: Object, other: Object, scene: Scene) -> bool:
    """Whether a term of one pod's affinity means another pod."""
    namespace = other["metadata"]["namespace"]
    named, selector = term.get("namespaces") or (), term.get("namespaceSelector")
    if selector is not None:
        in_scope = namespace in named or selectors.matches(selector, scene.namespaces.get(namespace, {}))
    else:
        in_scope = namespace in (named or (owner["metadata"]["namespace"],))
    if not in_scope or not selectors.matches(term.get("labelSelector"), labels_of(other)):
        return False
    mine, theirs = labels_of(owner), labels_of(other)
    return all(mine.get(key) == theirs.get(key) for key in term.get("matchLabelKeys") or () if key in mine) and all(
        mine.get(key) != theirs.get(key) for key in term.get("mismatchLabelKeys") or () if key in mine
    )


def _in_domain(node: Object, key: str, scene: Scene) -> Iterable[Object]:
    """The pods in the same domain of a topology as a node; none where the node is in none."""
    value = labels_of(node).get(key)
    if value is not None:
        for other in scene.nodes:
            if labels_of(other).get(key) == value:
                yield from scene.on(other)


def _affinity_obstacle(pod: Object, node: Object, scene: Scene) -> str:
    for term in _terms(pod, "podAffinity"):
        key = term["topologyKey"]
        if key not in labels_of(node):
            return AFFINITY
        if any(_selects(term, pod, other, scene) for other in _in_domain(node, key, scene)):
            continue
        # The first of a group that wants to be together finds nobody: it may go anywhere.
        anywhere = any(_selects(term, pod, other, scene) for each in scene.nodes for other in scene.on(each))
        if anywhere or not _selects(term, pod, pod, scene):
            return AFFINITY
    for term in _terms(pod, "podAntiAffinity"):
        if any(_selects(term, pod, other, scene) for other in _in_domain(node, term["topologyKey"], scene)):
            return ANTI_AFFINITY
    for other_node in scene.nodes:
        for other in scene.on(other_node):
            for term in _terms(other, "podAntiAffinity"):
                value = labels_of(other_node).get(term["topologyKey"])
                near = value is not None and labels_of(node).get(term["topologyKey"]) == value
                if near and _selects(term, other, pod, scene):
                    return EXISTING_ANTI_AFFINITY
    return ""


# -- topology spread -----------------------------------------------------------------------------


def _constraints(pod: Object, when: str) -> list[Object]:
    return [
        constraint
        for constraint in pod["spec"].get("topologySpreadConstraints") or ()
        if constraint.get("whenUnsatisfiable") == when
    ]


def _counts(pod: Object, constraint: Object, scene: Scene, eligible: Iterable[Object]) -> dict[str, int]:
    """How many of the pods that a constraint counts are in each domain that the pod could go to."""
    key = constraint["topologyKey"]
    counts: dict[str, int] = {}
    for node in eligible:
        domain = labels_of(node).get(key)
        if domain is None:
            continue
        counts.setdefault(domain, 0)
        counts[domain] += sum(1 for other in scene.on(node) if _is_counted(pod, constraint, other))
    return counts


def _is_counted(pod: Object, constraint: Object, other: Object) -> bool:
    if other["metadata"]["namespace"] != pod["metadata"]["namespace"] or other["metadata"].get("deletionTimestamp"):
        return False
    mine, theirs = labels_of(pod), labels_of(other)
    return selectors.matches(constraint.get("labelSelector"), theirs) and all(
        mine[key] == theirs.get(key) for key in constraint.get("matchLabelKeys") or () if key in mine
    )


def _spread_obstacle(pod: Object, node: Object, scene: Scene, eligible: Iterable[Object]) -> str:
    constraints = _constraints(pod, "DoNotSchedule")
    if any(constraint["topologyKey"] not in labels_of(node) for constraint in constraints):
        return SPREAD_LABEL
    keys = {constraint["topologyKey"] for constraint in constraints}
    among = [each for each in eligible if keys <= set(labels_of(each))] if constraints else []
    for constraint in constraints:
        counts = _counts(pod, constraint, scene, among)
        least = min(counts.values(), default=0)
        if len(counts) < (constraint.get("minDomains") or 1):
            least = 0
        here = counts.get(labels_of(node)[constraint["topologyKey"]], 0)
        itself = 1 if selectors.matches(constraint.get("labelSelector"), labels_of(pod)) else 0
        if here + itself - least > constraint["maxSkew"]:
            return SPREAD
    return ""


# -- what is only preferred ----------------------------------------------------------------------


def preference(pod: Object, node: Object, scene: Scene) -> int:
    """How much a pod's preferences speak for a node: the sum of the weights; fuller domains count against it."""
    total = 0
    for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
        for weighted in _terms(pod, kind, _PREFERRED):
            term = weighted["podAffinityTerm"]
            near = sum(1 for other in _in_domain(node, term["topologyKey"], scene) if _selects(term, pod, other, scene))
            total += sign * weighted["weight"] * near
    for constraint in _constraints(pod, "ScheduleAnyway"):
        counts = _counts(pod, constraint, scene, scene.nodes)
        total -= counts.get(labels_of(node).get(constraint["topologyKey"], ""), 0)
    return total
