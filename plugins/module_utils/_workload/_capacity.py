# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a cluster admits more pods of a template and has a place for them. Pure functions of plain objects."""

from __future__ import annotations

import math
import typing as t
from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _amounts,
    _images,
    _limit_ranges,
    _placement,
    _quotas,
    _workloads,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._amounts import Amounts, quantity, shown

Object = t.Dict[str, t.Any]

#: What the controllers taint a cordoned node with; a pod that tolerates it may go there.
CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}

#: The value of pod-template-hash that pods of a template will have which no ReplicaSet has yet.
NEW = "(new)"
HASH = "pod-template-hash"


@dataclass(frozen=True)
class Scene:
    """What decides whether pods of a namespace are admitted and placed."""

    namespace: str = "default"
    nodes: t.Sequence[Object] = ()
    pods: t.Sequence[Object] = ()  #: of all namespaces
    quotas: t.Sequence[Object] = ()
    limit_ranges: t.Sequence[Object] | None = ()  #: None where this user may not read them
    priority_classes: t.Sequence[Object] | None = ()
    runtime_classes: t.Sequence[Object] | None = ()


@dataclass(frozen=True)
class Room:
    """Whether `replicas` more pods fit."""

    replicas: int
    most: int  #: how many more would fit; where rules of placement count, no more than `replicas` are looked for
    limited_by: str | None  #: the resource or rule that sets that limit, None where no node takes such pods at all
    missing: str | None  #: what is missing for the replicas, in words; None when they fit
    unjudged: tuple[str, ...] = field(default=())  #: what decides too, and could not be judged

    @property
    def message(self) -> str:
        """The answer in words."""
        if self.missing or not self.replicas:
            return self.missing or "no more pods are needed"
        unjudged = f" (not judged: {'; '.join(self.unjudged)})" if self.unjudged else ""
        return f"{self.replicas} more {'pod fits' if self.replicas == 1 else 'pods fit'}{unjudged}"


def schedulable(node: Object, pod_spec: Object) -> bool:
    """Whether the scheduler may put such a pod on the node: ready, not cordoned, tolerated, selected."""
    spec = node.get("spec") or {}
    named = pod_spec.get("nodeName")
    if named:
        return bool(named == node["metadata"]["name"])  # no scheduler is asked
    conditions = node.get("status", {}).get("conditions") or []
    if any(item["type"] == "Ready" and item["status"] != "True" for item in conditions):
        return False
    if not _placement.selected(node, pod_spec):
        return False
    taints = [*(spec.get("taints") or []), *([CORDONED] if spec.get("unschedulable") else [])]
    return all(
        any(_tolerates(toleration, taint) for toleration in pod_spec.get("tolerations") or [])
        for taint in taints
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if not toleration.get("key"):
        return bool(toleration.get("operator") == "Exists")
    if toleration["key"] != taint.get("key"):
        return False
    return bool(toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", ""))


def free(node: Object, pods: t.Iterable[Object]) -> Amounts:
    """What is left of a node beside the pods on it."""
    left = {name: quantity(value) for name, value in (node.get("status", {}).get("allocatable") or {}).items()}
    for pod in pods:
        taken = _amounts.requests(pod.get("spec", {}))
        _amounts.add(left, {name: -amount for name, amount in taken.items() if name in left})
        _amounts.add(left, {"pods": Fraction(-1)})
    return left


def is_over(pod: Object) -> bool:
    """Whether a pod has ended, so that it takes no room and no quota counts it."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def own(deployment: Object, pods: t.Iterable[Object]) -> list[Object]:
    """The pods of a Deployment that are there to stay, whether they have a node or not."""
    return [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and not is_over(pod) and _workloads.is_own(pod, deployment)
    ]


def placed(deployment: Object, pods: t.Iterable[Object]) -> int:
    """How many pods of a Deployment have their place on a node already."""
    return sum(bool(pod.get("spec", {}).get("nodeName")) for pod in own(deployment, pods))


def room(
    template: Object,
    replicas: int,
    scene: Scene,
    *,
    admitted: int = 0,
    leaving: t.Sequence[Object] = (),
    objects: t.Mapping[str, int] | None = None,
) -> Room:
    """How many more pods of a template there is room for, and what is missing for `replicas` of them.

    Looks at what admits a pod (quotas and LimitRanges of the namespace) and at what places it: requests, the number of
    pods of a node, cordons, taints, node selectors and affinity, host ports, affinity to other pods and topology
    spread. So many of them are `admitted` already, and only wait for a node. Pods that are `leaving` are as good
    as gone. `objects` are what else is to be created, by resource (deployments.apps, services), which quotas may count.
    What decides and cannot be judged from here is named. Raises ValueError for an amount that cannot be read.
    """
    ranges = scene.limit_ranges
    spec, unjudged = _completed(template.get("spec") or {}, scene)
    counting = _quotas.applying(scene.quotas, spec, ranges)
    spec = _limit_ranges.defaulted(spec, ranges or ())
    candidate = _placement.Candidate(spec, (template.get("metadata") or {}).get("labels") or {}, scene.namespace)
    unjudged += _placement.unjudged(candidate)
    if ranges is None:
        unjudged.append("LimitRanges, which this user may not list")
    refusal = _refusal(spec, counting, ranges or (), replicas, objects or {}, scene.quotas)
    if refusal:
        return Room(replicas, 0, refusal[0], refusal[1] if replicas > 0 else None, tuple(unjudged))
    most, limited_by, missing = _on_nodes(candidate, replicas, scene, leaving)
    if limited_by is None:
        return Room(replicas, 0, None, missing, tuple(unjudged))
    new = max(0, replicas - admitted)
    for quota in scene.quotas:
        given_back = [_spent(pod, quota) for pod in leaving if pod["metadata"].get("namespace") == scene.namespace]
        for name, amount, spare in _quota_lines(spec, quota):
            left = spare + sum((each.get(name, Fraction(0)) for each in given_back), Fraction(0))
            if left // amount + admitted < most:
                most, limited_by = max(0, int(left // amount)) + admitted, name
            if missing is None and new * amount > left:
                missing = (
                    f"needs {_times(new, name, amount)}, but quota {quota['metadata']['name']} has "
                    f"{_only(name, left)} left"
                )
    return Room(replicas, most, limited_by, missing if replicas > 0 else None, tuple(unjudged))


def after(
    template: Object,
    replicas: int,
    scene: Scene,
    *,
    admitted: int = 0,
    leaving: t.Sequence[Object] = (),
    objects: t.Mapping[str, int] | None = None,
    namespace: str | None = None,
) -> Scene:
    """The scene once so many pods of a template are there, as `room` has them: on nodes, and in quotas.

    They are put where the scheduler would put them, one after the other; those without a place are left out. They may
    be of another `namespace`, whose quotas are not these. Raises ValueError for an amount that cannot be read.
    """
    home = namespace or scene.namespace
    own = scene if home == scene.namespace else replace(scene, namespace=home, quotas=(), limit_ranges=())
    spec, _unjudged = _completed(template.get("spec") or {}, own)
    spec = _limit_ranges.defaulted(spec, own.limit_ranges or ())
    labels = (template.get("metadata") or {}).get("labels") or {}
    board = _board(_placement.Candidate(spec, labels, home), scene, leaving)
    nodes = _one_by_one(board, replicas).nodes if board.usable else []
    pods = [
        {
            "metadata": {"name": f"(pod {number})", "namespace": home, "labels": labels},
            "spec": {**spec, "nodeName": node["metadata"]["name"]},
        }
        for number, node in enumerate(nodes, 1)
    ]
    gone = {id(pod) for pod in leaving}
    quotas = [
        _spent_of(item, spec, max(0, replicas - admitted), leaving, objects or {}) if own is scene else item
        for item in scene.quotas
    ]
    return replace(scene, quotas=quotas, pods=[*(pod for pod in scene.pods if id(pod) not in gone), *pods])


def _spent_of(
    quota: Object, spec: Object, replicas: int, leaving: t.Sequence[Object], objects: t.Mapping[str, int]
) -> Object:
    """A quota of which so many pods more are spent, and those that are leaving given back."""
    status = quota.get("status") or {}
    used = {name: quantity(value) for name, value in (status.get("used") or {}).items()}
    spent: Amounts = {}
    _amounts.add(spent, {name: each * replicas for name, each in _counted(spec, quota).items()})
    for pod in leaving:
        _amounts.add(spent, {name: -each for name, each in _spent(pod, quota).items()})
    for name, count in objects.items():
        _amounts.add(spent, {name: Fraction(count), f"count/{name}": Fraction(count)})
    _amounts.add(used, {name: each for name, each in spent.items() if name in _quotas.hard(quota)})
    written = {name: f"{int(max(each, Fraction(0)) * 10**9)}n" for name, each in used.items()}
    return dict(quota, status=dict(status, used=written))


def _completed(spec: Object, scene: Scene) -> tuple[Object, list[str]]:
    """A pod's specification with what the API server adds of classes, and what could not be read for that."""
    unjudged = []
    runtime = spec.get("runtimeClassName")
    if runtime and scene.runtime_classes is None:
        unjudged.append(f"RuntimeClass {runtime}, which this user may not read")
    for item in scene.runtime_classes or ():
        if item["metadata"]["name"] == runtime:
            scheduling = item.get("scheduling") or {}
            spec = dict(
                spec,
                overhead=(item.get("overhead") or {}).get("podFixed") or spec.get("overhead") or {},
                nodeSelector={**(spec.get("nodeSelector") or {}), **(scheduling.get("nodeSelector") or {})},
                tolerations=[*(spec.get("tolerations") or []), *(scheduling.get("tolerations") or [])],
            )
    if not spec.get("priorityClassName") and any(_quotas.is_of_priority(item) for item in scene.quotas):
        if scene.priority_classes is None:
            unjudged.append("the default PriorityClass, by which a quota counts and which this user may not list")
        for item in scene.priority_classes or ():
            if item.get("globalDefault"):
                spec = dict(spec, priorityClassName=item["metadata"]["name"])
    return spec, unjudged


def _refusal(
    spec: Object,
    counting: t.Sequence[_quotas.Quota],
    ranges: t.Sequence[Object],
    replicas: int,
    objects: t.Mapping[str, int],
    quotas: t.Sequence[Object],
) -> tuple[str, str] | None:
    """Why no such pod, or nothing that is to be created beside them, is admitted at all: by what, and in words."""
    for quota in counting:
        if quota.refusal:
            said = f"{quota.refusal}; no pod is admitted until they are set, or a LimitRange sets defaults"
            return min(quota.lacking), said
    for name, said in _limit_ranges.refusals(spec, ranges):
        return name, f"{said}; no pod is admitted until that is changed"
    for item in quotas if replicas > 0 else ():
        for name, count, left in _quotas.objects_short(item, objects):
            return name, f"needs {count} more {name}, but quota {item['metadata']['name']} has {left or 'none'} left"
    return None


class _Board(t.NamedTuple):
    """The nodes that pods of a kind may be put on."""

    usable: t.Sequence[Object]
    left: t.Sequence[Amounts]  #: what is left of each of them
    each: Amounts  #: what one of the pods takes
    rules: t.Sequence[_placement.Rule]

    def take(self, amounts: Amounts, names: t.Iterable[str]) -> int:
        """How many of the pods go into what is left of a node, where only these resources count."""
        return max(0, int(min(amounts.get(name, Fraction(0)) // self.each[name] for name in names)))

    def taken(self, names: t.Iterable[str]) -> int:
        """How many all nodes take."""
        names = list(names)
        return sum(self.take(amounts, names) for amounts in self.left)


def _board(candidate: _placement.Candidate, scene: Scene, leaving: t.Sequence[Object]) -> _Board:
    gone = {id(pod) for pod in leaving}
    there = [pod for pod in scene.pods if id(pod) not in gone and not is_over(pod)]
    each = {name: amount for name, amount in _amounts.requests(candidate.spec).items() if amount > 0}
    each["pods"] = Fraction(1)
    usable = [node for node in scene.nodes if schedulable(node, candidate.spec)]
    by_node: dict[str, list[Object]] = {}
    for pod in there:
        by_node.setdefault(pod.get("spec", {}).get("nodeName", ""), []).append(pod)
    left = [free(node, by_node.get(node["metadata"]["name"], [])) for node in usable]
    rules = _placement.rules(candidate, scene.nodes, there, usable) if usable else []
    return _Board(usable, left, each, rules)


def _on_nodes(
    candidate: _placement.Candidate, replicas: int, scene: Scene, leaving: t.Sequence[Object]
) -> tuple[int, str | None, str | None]:
    """How many the nodes take, what limits that, and what is missing for the replicas, in words."""
    board = _board(candidate, scene, leaving)
    if not board.usable:
        nowhere = f"needs nodes for {_pods(replicas)}, but none of {len(scene.nodes)} nodes accepts them"
        return 0, None, nowhere if replicas > 0 else None
    each = board.each
    most = board.taken(each)
    limited_by = min(sorted(each), key=lambda name: board.taken([name]))
    short = _short_on_nodes(limited_by, each[limited_by], replicas, board.left) if most < replicas else None
    if not board.rules:
        return most, limited_by, short
    placed = _one_by_one(board, max(replicas, 1))
    found = len(placed.nodes)
    if short is not None or not placed.refused:
        return found, limited_by, short
    reasons = ", ".join(f"{count} {'has' if count == 1 else 'have'} {why}" for why, count in placed.refused.items())
    limits = next((rule.name for rule in board.rules if rule.why in placed.refused), limited_by)
    said = (
        f"needs nodes for {_pods(replicas)}, but {f'only {found}' if found else 'none'} of them can be placed: of "
        f"{len(board.usable)} nodes, {reasons}"
    )
    return found, limits, said if replicas > 0 else None


class _Placed(t.NamedTuple):
    """Where pods are put one after the other."""

    nodes: t.Sequence[Object]  #: of each pod that gets one
    refused: t.Mapping[str, int]  #: where not all do: why nodes take no more in the end, and how many


def _one_by_one(board: _Board, replicas: int) -> _Placed:
    nodes, rules = board.usable, board.rules
    fits = [board.take(amounts, board.each) for amounts in board.left]
    chosen: list[Object] = []
    for _number in range(replicas):
        open_ = [at for at, node in enumerate(nodes) if fits[at] and all(rule.allows(node) for rule in rules)]
        if not open_:
            whys = Counter(
                next((rule.why for rule in rules if not rule.allows(node)), "no room left") for node in nodes
            )
            return _Placed(chosen, dict(whys))
        # Where there are fewest of those that are to be spread, and then where there is most room.
        best = min(open_, key=lambda at: (sum(rule.crowd(nodes[at]) for rule in rules), -fits[at]))
        fits[best] -= 1
        chosen.append(nodes[best])
        for rule in rules:
            rule.put(nodes[best])
    return _Placed(chosen, {})


def _short_on_nodes(scarce: str, amount: Fraction, replicas: int, left: t.Sequence[Amounts]) -> str:
    spare = [max(Fraction(0), amounts.get(scarce, Fraction(0))) for amounts in left]
    free = sum(spare, Fraction(0))
    needs = f"needs {_times(replicas, scarce, amount)}, but schedulable nodes have"
    if scarce == "pods":
        return f"{needs} room for {_only(scarce, free)}"
    if free < replicas * amount:
        return f"{needs} {_only(scarce, free)} free"
    return f"{needs} {shown(scarce, free)} free, at most {shown(scarce, max(spare))} on one node"


def _times(replicas: int, name: str, amount: Fraction) -> str:
    return _pods(replicas) if name in ("pods", "count/pods") else f"{replicas} x {shown(name, amount)} {name}"


def _pods(count: int) -> str:
    return f"{count} pod" if count == 1 else f"{count} pods"


def _only(name: str, amount: Fraction) -> str:
    """What little there is of a resource, in words."""
    return f"only {shown(name, amount)}" if amount > 0 else "none"


def _quota_lines(pod_spec: Object, quota: Object) -> t.Iterator[tuple[str, Fraction, Fraction]]:
    """By resource that a quota limits: its name, what one pod takes of it, and what is left of it."""
    each, used = _counted(pod_spec, quota), quota.get("status", {}).get("used") or {}
    for name, hard in sorted(_quotas.hard(quota).items()):
        if each.get(name):
            yield name, each[name], quantity(hard) - quantity(used.get(name, 0))


def _counted(pod_spec: Object, quota: Object) -> Amounts:
    """What a quota counts of a pod, by the names that quotas have for it; nothing where it does not count it."""
    if not _quotas.counts(quota, pod_spec):
        return {}
    each = {"pods": Fraction(1), "count/pods": Fraction(1)}
    for name, amount in _amounts.requests(pod_spec).items():
        each[f"requests.{name}"] = amount
        if name in ("cpu", "memory", "ephemeral-storage") or name.startswith("hugepages-"):
            each[name] = amount
    return {**each, **{f"limits.{name}": amount for name, amount in _amounts.limits(pod_spec).items()}}


def _spent(pod: Object, quota: Object) -> Amounts:
    """What a pod that is there gives back to a quota when it goes."""
    return _counted(pod.get("spec") or {}, quota)


# -- rolling updates ---------------------------------------------------------------------------------------------------


def moves(deployment: Object) -> tuple[int, int]:
    """How many pods an update of a Deployment may have more than its replicas, and how many fewer."""
    spec = deployment["spec"]
    replicas = spec.get("replicas", 1)
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, replicas
    given = strategy.get("rollingUpdate") or {}
    surge = _share(given.get("maxSurge", "25%"), replicas, math.ceil)
    fewer = _share(given.get("maxUnavailable", "25%"), replicas, math.floor)
    return surge, fewer if surge or fewer else 1  # as the controller has it, or nothing would ever move


def _share(said: t.Any, replicas: int, rounded: t.Callable[[float], int]) -> int:
    text = str(said)
    return rounded(int(text[:-1]) * replicas / 100) if text.endswith("%") else int(text)


def hashed(template: Object, deployment: Object | None, there: t.Sequence[Object]) -> Object:
    """A template with the label pod-template-hash of its pods, which rules of placement may compare.

    It is that of the newest pods that are `there` where they are made of the Deployment's own template, else a new one.
    """
    same = deployment is not None and deployment["spec"]["template"] == template
    newest = max(there if same else [], key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
    label = _images.labels(newest).get(HASH, NEW) if newest else NEW
    metadata = template.get("metadata") or {}
    return dict(template, metadata=dict(metadata, labels={**(metadata.get("labels") or {}), HASH: label}))


def update_room(deployment: Object, template: Object, scene: Scene, objects: t.Mapping[str, int] | None = None) -> Room:
    """Whether a Deployment's pods can be replaced by those of another template, one after the other.

    Where all of its replicas have to be available at any time, one more pod needs a place beside them. Else it gets the
    place of one that goes. In the end all of the new ones need a place where the old ones are.
    """
    replicas, (_surge, fewer) = deployment["spec"].get("replicas", 1), moves(deployment)
    there = own(deployment, scene.pods)
    if not replicas:
        return room(template, 0, scene)
    whole = room(template, replicas, scene, leaving=there, objects=objects)
    if whole.missing is not None or fewer >= replicas:
        return whole
    beside = room(template, 1, scene)
    if beside.missing is None:
        return beside
    if not fewer:
        said = f"no old pod may go before a new one is ready (maxUnavailable 0), and one more pod {beside.missing}"
        return Room(beside.replicas, beside.most, beside.limited_by, said, beside.unjudged)
    instead = [room(template, 1, scene, leaving=[pod]) for pod in there]
    return next((found for found in instead if found.missing is None), instead[0] if instead else whole)
