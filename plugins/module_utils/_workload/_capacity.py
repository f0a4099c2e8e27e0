# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a cluster can hold more pods of a template. Pure functions of plain objects."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._workload import _quotas, _selectors, _workloads

Object = t.Dict[str, t.Any]
Amounts = t.Dict[str, Fraction]

#: What the controllers taint a cordoned node with; a pod that tolerates it may go there.
CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}

FACTORS: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Fraction(1024**power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}
QUANTITY = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$")


def quantity(text: str | float) -> Fraction:
    """A Kubernetes quantity (200m, 10Mi, 0.5, 1e3) as a number. Raises ValueError."""
    found = QUANTITY.match(str(text))
    if not found:
        raise ValueError(f"{text!r} is not a quantity such as 200m, 0.5 or 10Mi")
    number, exponent, suffix = found.groups()
    return Fraction(Decimal(number)) * (Fraction(10) ** int(exponent) if exponent else FACTORS[suffix or ""])


def shown(name: str, amount: Fraction) -> str:
    """An amount of a resource as people write it."""
    if name.endswith("cpu"):
        return str(int(amount)) if amount.denominator == 1 else f"{int(amount * 1000)}m"
    if name.endswith(("memory", "storage")):
        for suffix in ("Gi", "Mi", "Ki"):
            if amount and amount % FACTORS[suffix] == 0:
                return f"{int(amount / FACTORS[suffix])}{suffix}"
        if amount >= FACTORS["Mi"]:
            return f"{int(amount / FACTORS['Mi'])}Mi"
    return str(int(amount))


def requests(pod_spec: Object) -> Amounts:
    """What the scheduler sets aside for a pod."""
    return _total(pod_spec, _wanted)


def _total(pod_spec: Object, of: t.Callable[[Object], Amounts]) -> Amounts:
    """What a pod's containers come to, as Kubernetes counts it.

    That is the sum of the containers and sidecars, or an init container with the sidecars that start before it
    where that is more; `of` says what one of them has. The pod's own resources take their place, its overhead
    is added.
    """
    total: Amounts = {}
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in pod_spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            _add(sidecars, of(container))
            continue
        beside = dict(sidecars)
        _add(beside, of(container))
        for name, amount in beside.items():
            largest[name] = max(largest.get(name, Fraction(0)), amount)
    for container in pod_spec.get("containers") or []:
        _add(total, of(container))
    _add(total, sidecars)
    for name, amount in largest.items():
        total[name] = max(total.get(name, Fraction(0)), amount)
    total.update(of(pod_spec))
    _add(total, {name: quantity(value) for name, value in (pod_spec.get("overhead") or {}).items()})
    return total


def _wanted(container: Object) -> Amounts:
    resources = container.get("resources") or {}
    # A limit is the request where none is given.
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity(value) for name, value in wanted.items()}


def _limits(container: Object) -> Amounts:
    limits = (container.get("resources") or {}).get("limits") or {}
    return {name: quantity(value) for name, value in limits.items()}


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Fraction(0)) + amount


def schedulable(node: Object, pod_spec: Object) -> bool:
    """Whether the scheduler may put such a pod on the node: ready, not cordoned, tolerated, selected."""
    spec, labels = node.get("spec", {}), node["metadata"].get("labels") or {}
    conditions = node.get("status", {}).get("conditions") or []
    if any(item["type"] == "Ready" and item["status"] != "True" for item in conditions):
        return False
    if any(labels.get(name) != value for name, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    if not _affine(node, pod_spec):
        return False
    taints = [*(spec.get("taints") or []), *([CORDONED] if spec.get("unschedulable") else [])]
    return all(
        any(_tolerates(toleration, taint) for toleration in pod_spec.get("tolerations") or [])
        for taint in taints
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def _affine(node: Object, pod_spec: Object) -> bool:
    """Whether the node is one that the required node affinity of a pod allows: any of its terms, if it has some."""
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    labels = node["metadata"].get("labels") or {}
    name = {"metadata.name": node["metadata"]["name"]}
    return any(
        all(_selectors.holds(rule, labels) for rule in term.get("matchExpressions") or [])
        and all(_selectors.holds(rule, name) for rule in term.get("matchFields") or [])
        for term in required.get("nodeSelectorTerms") or []
        if term.get("matchExpressions") or term.get("matchFields")
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
        _add(left, {name: -amount for name, amount in requests(pod.get("spec", {})).items() if name in left})
        _add(left, {"pods": Fraction(-1)})
    return left


@dataclass(frozen=True)
class Room:
    """Whether `copies` more pods fit."""

    copies: int
    most: int  #: how many more would fit
    limited_by: str | None  #: the resource that sets that limit, None where no node takes such pods at all
    missing: str | None  #: what is missing for the copies, in words; None when they fit

    @property
    def message(self) -> str:
        """The answer in words."""
        return self.missing or (f"{self.copies} more pods fit" if self.copies else "no more pods are needed")


def placed(deployment: Object, pods: t.Iterable[Object]) -> int:
    """How many pods of a Deployment have their place on a node already."""
    return sum(
        _workloads.is_own(pod, deployment)
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and pod.get("spec", {}).get("nodeName")
    )


def room(
    pod_spec: Object,
    copies: int,
    nodes: t.Sequence[Object],
    pods: t.Sequence[Object],
    quotas: t.Sequence[Object],
    limit_ranges: t.Sequence[Object] | None = (),
) -> Room:
    """How many more such pods there is room for, and what is missing for `copies` of them.

    Looks at what the scheduler and the quotas count: requests, the number of pods, cordons, taints, node
    selectors and required node affinity. All copies are alike, so what each node takes adds up exactly.
    Affinity to other pods, topology spreads, ports and volumes are the scheduler's own to weigh. Where a quota has
    containers name what these do not, and no LimitRange gives it to them, no pod is admitted at all; where this user
    may not read LimitRanges, None, that is not judged.
    """
    counting = _quotas.applying(quotas, pod_spec, limit_ranges)
    pod_spec = _quotas.defaulted(pod_spec, limit_ranges or ())
    each = {name: amount for name, amount in requests(pod_spec).items() if amount > 0}
    each["pods"] = Fraction(1)
    usable = [node for node in nodes if schedulable(node, pod_spec)]
    if not usable:
        nowhere = f"needs a node for {copies} pods, but none of {len(nodes)} nodes takes them"
        return Room(copies, 0, None, nowhere if copies > 0 else None)
    by_node: dict[str, list[Object]] = {}
    for pod in pods:
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            by_node.setdefault(pod.get("spec", {}).get("nodeName", ""), []).append(pod)
    left = [free(node, by_node.get(node["metadata"]["name"], [])) for node in usable]

    def taken(names: t.Iterable[str]) -> int:
        """How many copies the nodes take where only these resources count."""
        return sum(max(0, int(min(amounts.get(name, Fraction(0)) // each[name] for name in names))) for amounts in left)

    most = taken(each)
    limited_by = min(sorted(each), key=lambda name: taken([name]))
    missing = _short_on_nodes(limited_by, each[limited_by], copies, left) if most < copies else None
    for refused in counting:
        if refused.refusal:
            said = f"{refused.refusal}; give them, or a LimitRange with defaults, and no pod is refused"
            return Room(copies, 0, min(refused.lacking), said if copies > 0 else None)
    for quota in quotas:
        for name, amount, spare in _quota_lines(pod_spec, quota):
            if spare // amount < most:
                most, limited_by = max(0, int(spare // amount)), name
            if missing is None and copies * amount > spare:
                spared = shown(name, max(spare, Fraction(0)))
                missing = f"needs {_times(copies, name, amount)}, left of quota {quota['metadata']['name']}: {spared}"
    return Room(copies, most, limited_by, missing if copies > 0 else None)


def _short_on_nodes(scarce: str, amount: Fraction, copies: int, left: t.Sequence[Amounts]) -> str:
    spare = [max(Fraction(0), amounts.get(scarce, Fraction(0))) for amounts in left]
    said = (
        f"needs {_times(copies, scarce, amount)}, free on schedulable nodes: {shown(scarce, sum(spare, Fraction(0)))}"
    )
    if sum(spare) >= copies * amount:
        said += f", of which at most {shown(scarce, max(spare))} on one"
    return said


def _times(copies: int, name: str, amount: Fraction) -> str:
    return f"{copies} pods" if name == "pods" else f"{copies} x {shown(name, amount)} {name}"


def _quota_lines(pod_spec: Object, quota: Object) -> t.Iterator[tuple[str, Fraction, Fraction]]:
    """By resource that a quota limits: its name, what one pod takes of it, and what is left of it."""
    if not _quotas.counts(quota, pod_spec):
        return
    each = {"pods": Fraction(1), "count/pods": Fraction(1)}
    for name, amount in requests(pod_spec).items():
        each[f"requests.{name}"] = amount
        if name in ("cpu", "memory", "ephemeral-storage"):
            each[name] = amount
    each.update({f"limits.{name}": amount for name, amount in _total(pod_spec, _limits).items()})
    status = quota.get("status", {})
    for name, hard in sorted((status.get("hard") or {}).items()):
        if each.get(name):
            yield name, each[name], quantity(hard) - quantity((status.get("used") or {}).get(name, 0))
