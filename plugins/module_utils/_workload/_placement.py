# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which nodes take another pod beside those that are there: ports, affinity to pods, spread. Pure functions.

Nodes are told apart by what they have for one pod more. These rules change with each pod that is placed, so pods are
placed one by one, as the scheduler does it.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _selectors

Object = t.Dict[str, t.Any]

#: The label of a namespace that each has, with its name.
NAME = "kubernetes.io/metadata.name"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


class Rule(t.Protocol):
    """What decides whether a node takes one more of the pods."""

    name: str  #: the field that has it
    why: str  #: what is said of the nodes that do not take it

    def allows(self, node: Object) -> bool:
        """Whether the node takes one more."""

    def put(self, node: Object) -> None:
        """One more is on the node."""

    def crowd(self, node: Object) -> int:
        """How many pods there are where the node is, of those that are to be spread."""


class Candidate(t.NamedTuple):
    """A pod that is to be placed."""

    spec: Object
    labels: t.Mapping[str, str]
    namespace: str


def rules(
    candidate: Candidate, nodes: t.Sequence[Object], pods: t.Sequence[Object], usable: t.Sequence[Object] = ()
) -> list[Rule]:
    """The rules for the candidate, empty where there are none.

    `pods` are all that have a node and have not ended, `usable` the nodes that the candidate may be on as far as only
    the node decides that.
    """
    known = {node["metadata"]["name"]: node for node in nodes}
    placed = [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") in known]
    ports = _ports(candidate.spec)
    found: list[Rule] = [_Ports(ports, placed)] if ports else []
    affinity = candidate.spec.get("affinity") or {}
    apart = (affinity.get("podAntiAffinity") or {}).get(REQUIRED) or []
    blocked = _Apart(candidate, apart, known, placed)
    if apart or blocked.domains:
        found.append(blocked)
    # What cannot be judged from here is no reason to refuse.
    together = [term for term in (affinity.get("podAffinity") or {}).get(REQUIRED) or [] if not _of_labels(term)]
    if together:
        found.append(_Together(candidate, together, known, placed))
    spread = [
        rule
        for rule in candidate.spec.get("topologySpreadConstraints") or []
        if rule.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
    ]
    found += [_Spread(candidate, rule, spread, nodes, usable, known, placed) for rule in spread]
    return found


def unjudged(candidate: Candidate) -> list[str]:
    """What decides where the pods go and cannot be judged from here, in words."""
    spec = candidate.spec
    volumes = [
        item["name"] for item in spec.get("volumes") or [] if item.get("persistentVolumeClaim") or item.get("ephemeral")
    ]
    scheduler = spec.get("schedulerName") or "default-scheduler"
    selecting = [
        term
        for kind in ("podAffinity", "podAntiAffinity")
        for term in ((spec.get("affinity") or {}).get(kind) or {}).get(REQUIRED) or []
        if _of_labels(term)
    ]
    found = {
        f"on which nodes the volumes {', '.join(volumes)} can be used": volumes,
        "resource claims": spec.get("resourceClaims"),
        f"what the scheduler {scheduler} decides": scheduler != "default-scheduler",
        "scheduling gates": spec.get("schedulingGates"),
        "affinity to pods of namespaces that are selected by labels": selecting,
    }
    return [words for words, there in found.items() if there]


# -- ports -------------------------------------------------------------------------------------------------------------

Port = t.Tuple[str, str, int]  # address, protocol, number


def _ports(spec: Object) -> set[Port]:
    """The ports of its node that a pod takes; in the node's network all of its ports are."""
    sidecars = [item for item in spec.get("initContainers") or [] if item.get("restartPolicy") == "Always"]
    found = set()
    for item in [*(spec.get("containers") or []), *sidecars]:
        for port in item.get("ports") or []:
            number = port.get("hostPort") or (port.get("containerPort") if spec.get("hostNetwork") else 0)
            if number:
                found.add((port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(number)))
    return found


def _collide(one: Port, other: Port) -> bool:
    every = ("0.0.0.0", "::")
    same = one[0] == other[0] or one[0] in every or other[0] in every
    return same and one[1:] == other[1:]


class _Ports:
    name = "hostPort"

    def __init__(self, ports: set[Port], placed: t.Iterable[Object]) -> None:
        numbers = ", ".join(f"{number}/{protocol}" for _address, protocol, number in sorted(ports))
        self.why = f"the host port {numbers} taken"
        self._taken = {
            pod["spec"]["nodeName"]
            for pod in placed
            if any(_collide(mine, other) for mine in ports for other in _ports(pod["spec"]))
        }

    def allows(self, node: Object) -> bool:
        return node["metadata"]["name"] not in self._taken

    def put(self, node: Object) -> None:
        self._taken.add(node["metadata"]["name"])

    def crowd(self, node: Object) -> int:
        return 0


# -- affinity to pods --------------------------------------------------------------------------------------------------

Domain = t.Tuple[str, str]  # the key of a node's label, and its value


def _domain(node: Object, key: str) -> Domain | None:
    value = (node["metadata"].get("labels") or {}).get(key)
    return None if value is None else (key, value)


def _of_labels(term: Object) -> bool:
    """Whether a term selects namespaces by labels that only the namespaces themselves can tell."""
    return not _selectors.keys(term.get("namespaceSelector") or {}) <= {NAME}


def _picks(term: Object, namespace: str, labels: t.Mapping[str, str], of: Candidate | Object) -> bool:
    """Whether a term of `of`, a candidate or a pod, means a pod with these labels."""
    if isinstance(of, Candidate):
        home, own = of.namespace, of.labels
    else:
        home, own = of["metadata"].get("namespace", ""), _images.labels(of)
    selector, there = term.get("namespaceSelector"), list(term.get("namespaces") or [])
    if selector is None:
        near = namespace in (there or [home])
    else:
        near = namespace in there or (not _of_labels(term) and _selectors.matches(selector, {NAME: namespace}))
    return near and _selectors.matches(_with_keys(term, own), labels)


def _with_keys(term: Object, own: t.Mapping[str, str]) -> Object | None:
    """The label selector of a term or constraint, with what it takes from the pod's own labels."""
    selector = term.get("labelSelector")
    if selector is None:
        return None
    more = [
        {"key": key, "operator": operator, "values": [own[key]]}
        for kind, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in term.get(kind) or []
        if key in own
    ]
    return {**selector, "matchExpressions": [*(selector.get("matchExpressions") or []), *more]}


class _Apart:
    """Pods that are to be kept apart, by what the candidate says and by what those say that are there."""

    name = "podAntiAffinity"
    why = "a pod that these are kept away from (podAntiAffinity)"

    def __init__(
        self, candidate: Candidate, terms: t.Sequence[Object], nodes: t.Mapping[str, Object], placed: t.Iterable[Object]
    ) -> None:
        self.domains: set[Domain] = set()
        own = candidate.namespace, candidate.labels
        self._self = [term["topologyKey"] for term in terms if _picks(term, *own, candidate)]
        for pod in placed:
            node, there = nodes[pod["spec"]["nodeName"]], (pod["metadata"].get("namespace", ""), _images.labels(pod))
            theirs = ((pod["spec"].get("affinity") or {}).get("podAntiAffinity") or {}).get(REQUIRED) or []
            keys = [term["topologyKey"] for term in terms if _picks(term, *there, candidate)]
            keys += [term["topologyKey"] for term in theirs if _picks(term, *own, pod)]
            self.domains |= {domain for key in keys for domain in [_domain(node, key)] if domain}

    def allows(self, node: Object) -> bool:
        labels = node["metadata"].get("labels") or {}
        return not any(labels.get(key) == value for key, value in self.domains)

    def put(self, node: Object) -> None:
        self.domains |= {domain for key in self._self for domain in [_domain(node, key)] if domain}

    def crowd(self, node: Object) -> int:
        return 0


class _Together:
    """Pods that are to be where others are."""

    name = "podAffinity"
    why = "none of the pods that these must run beside (podAffinity)"

    def __init__(
        self, candidate: Candidate, terms: t.Sequence[Object], nodes: t.Mapping[str, Object], placed: t.Iterable[Object]
    ) -> None:
        self._keys = [term["topologyKey"] for term in terms]
        self._first = all(_picks(term, candidate.namespace, candidate.labels, candidate) for term in terms)
        self._domains: set[Domain] = set()
        for pod in placed:
            there = pod["metadata"].get("namespace", ""), _images.labels(pod)
            if all(_picks(term, *there, candidate) for term in terms):
                self._add(nodes[pod["spec"]["nodeName"]])

    def _add(self, node: Object) -> None:
        self._domains |= {domain for key in self._keys for domain in [_domain(node, key)] if domain}

    def allows(self, node: Object) -> bool:
        found = [_domain(node, key) for key in self._keys]
        if not self._domains and self._first:  # the first of them may be anywhere
            return all(found)
        return all(domain in self._domains for domain in found)

    def put(self, node: Object) -> None:
        if self._first:
            self._add(node)

    def crowd(self, node: Object) -> int:
        return 0


# -- spread ------------------------------------------------------------------------------------------------------------


class _Spread:
    """Pods that are to be spread over zones or nodes; another pod where there are most of them already is not."""

    name = "topologySpreadConstraints"

    def __init__(
        self,
        candidate: Candidate,
        rule: Object,
        every: t.Sequence[Object],
        nodes: t.Sequence[Object],
        usable: t.Sequence[Object],
        known: t.Mapping[str, Object],
        placed: t.Iterable[Object],
    ) -> None:
        self._key, self._most, self._least = rule["topologyKey"], rule["maxSkew"], rule.get("minDomains") or 1
        self.why = f"as many pods per {self._key} as maxSkew {self._most} allows"
        selector = _with_keys(rule, candidate.labels)
        self._own = int(_selectors.matches(selector, candidate.labels))
        honoured = rule.get("nodeTaintsPolicy", "Ignore") == "Honor"
        counted = [
            node
            for node in (usable if honoured else nodes)
            if all(_domain(node, each["topologyKey"]) for each in every)
            and (rule.get("nodeAffinityPolicy", "Honor") == "Ignore" or selected(node, candidate.spec))
        ]
        names = {node["metadata"]["name"] for node in counted}
        self._counts: Counter[str] = Counter({self._value(node): 0 for node in counted})
        self._counts.update(
            self._value(known[pod["spec"]["nodeName"]])
            for pod in placed
            if pod["spec"]["nodeName"] in names
            and pod["metadata"].get("namespace", "") == candidate.namespace
            and "deletionTimestamp" not in pod["metadata"]
            and _selectors.matches(selector, _images.labels(pod))
        )

    def _value(self, node: Object) -> str:
        return str((node["metadata"].get("labels") or {}).get(self._key))

    def allows(self, node: Object) -> bool:
        value = self._value(node)
        if value not in self._counts:
            return False
        fewest = min(self._counts.values()) if len(self._counts) >= self._least else 0
        return self._counts[value] + self._own - fewest <= int(self._most)

    def put(self, node: Object) -> None:
        self._counts[self._value(node)] += self._own

    def crowd(self, node: Object) -> int:
        return self._counts[self._value(node)]


# -- nodes alone -------------------------------------------------------------------------------------------------------


def selected(node: Object, spec: Object) -> bool:
    """Whether a node is one that the pod's nodeSelector and required node affinity allow."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(name) != value for name, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    if not required:
        return True
    name = {"metadata.name": node["metadata"]["name"]}
    return any(
        all(_selectors.holds(rule, labels) for rule in term.get("matchExpressions") or [])
        and all(_selectors.holds(rule, name) for rule in term.get("matchFields") or [])
        for term in required.get("nodeSelectorTerms") or []
        if term.get("matchExpressions") or term.get("matchFields")
    )
