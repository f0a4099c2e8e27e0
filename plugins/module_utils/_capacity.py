# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a cluster can hold more pods of a template. Pure functions of plain objects."""

from __future__ import annotations

import re
import typing as t
from decimal import Decimal
from fractions import Fraction

Object = t.Dict[str, t.Any]
Amounts = t.Dict[str, Fraction]

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
    """What the scheduler sets aside for a pod: the sum of its containers, or its largest init container."""
    total: Amounts = {}
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in pod_spec.get("initContainers") or []:
        wanted = _wanted(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, wanted)
            wanted = dict(sidecars)
        else:
            wanted = {
                name: wanted.get(name, Fraction(0)) + sidecars.get(name, Fraction(0))
                for name in {*wanted, *sidecars}
            }
        for name, amount in wanted.items():
            largest[name] = max(largest.get(name, Fraction(0)), amount)
    for container in pod_spec.get("containers") or []:
        _add(total, _wanted(container))
    _add(total, sidecars)
    for name, amount in largest.items():
        total[name] = max(total.get(name, Fraction(0)), amount)
    _add(total, {name: quantity(value) for name, value in (pod_spec.get("overhead") or {}).items()})
    return total


def _wanted(container: Object) -> Amounts:
    resources = container.get("resources") or {}
    # A limit is the request where none is given.
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity(value) for name, value in wanted.items()}


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Fraction(0)) + amount


def schedulable(node: Object, pod_spec: Object) -> bool:
    """Whether the scheduler may put such a pod on the node: ready, not cordoned, tolerated, selected."""
    spec, labels = node.get("spec", {}), node["metadata"].get("labels") or {}
    conditions = node.get("status", {}).get("conditions") or []
    if spec.get("unschedulable") or any(
        item["type"] == "Ready" and item["status"] != "True" for item in conditions
    ):
        return False
    if any(labels.get(name) != value for name, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    return all(
        any(_tolerates(toleration, taint) for toleration in pod_spec.get("tolerations") or [])
        for taint in spec.get("taints") or []
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if not toleration.get("key"):
        return bool(toleration.get("operator") == "Exists")
    if toleration["key"] != taint.get("key"):
        return False
    return bool(
        toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")
    )


def free(node: Object, pods: t.Iterable[Object]) -> Amounts:
    """What is left of a node beside the pods on it."""
    left = {
        name: quantity(value) for name, value in (node.get("status", {}).get("allocatable") or {}).items()
    }
    for pod in pods:
        _add(left, {name: -amount for name, amount in requests(pod.get("spec", {})).items() if name in left})
        _add(left, {"pods": Fraction(-1)})
    return left


def shortage(
    pod_spec: Object,
    copies: int,
    nodes: t.Sequence[Object],
    pods: t.Sequence[Object],
    quotas: t.Sequence[Object],
) -> str | None:
    """What is missing for `copies` more such pods, in words; None when they fit.

    Looks at what the scheduler and the quotas count: requests, the number of pods, cordons, taints and
    node selectors. Affinities and topology spreads are the scheduler's own to weigh.
    """
    if copies <= 0:
        return None
    wanted = requests(pod_spec)
    usable = [node for node in nodes if schedulable(node, pod_spec)]
    if not usable:
        return f"needs a node for {copies} pods, but none of {len(nodes)} nodes takes them"
    by_node: dict[str, list[Object]] = {}
    for pod in pods:
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            by_node.setdefault(pod.get("spec", {}).get("nodeName", ""), []).append(pod)
    left = [free(node, by_node.get(node["metadata"]["name"], [])) for node in usable]
    each = {**{name: amount for name, amount in wanted.items() if amount > 0}, "pods": Fraction(1)}
    room = [
        min(max(0, amounts.get(name, Fraction(0)) // amount) for name, amount in each.items())
        for amounts in left
    ]
    if sum(room) < copies:
        return _short_on_nodes(each, copies, left)
    for quota in quotas:
        found = _short_of_quota(pod_spec, copies, quota)
        if found:
            return found
    return None


def _short_on_nodes(each: Amounts, copies: int, left: t.Sequence[Amounts]) -> str:
    # The resource that alone allows the fewest copies is the one that is missing.
    def alone(name: str) -> int:
        return sum(int(max(0, amounts.get(name, Fraction(0)) // each[name])) for amounts in left)

    scarce = min(sorted(each), key=alone)
    total = sum((max(Fraction(0), amounts.get(scarce, Fraction(0))) for amounts in left), Fraction(0))
    said = f"needs {_times(copies, scarce, each[scarce])}, free on schedulable nodes: {shown(scarce, total)}"
    if total >= copies * each[scarce]:
        most = max(max(Fraction(0), amounts.get(scarce, Fraction(0))) for amounts in left)
        said += f", of which at most {shown(scarce, most)} on one"
    return said


def _times(copies: int, name: str, amount: Fraction) -> str:
    return f"{copies} pods" if name == "pods" else f"{copies} x {shown(name, amount)} {name}"


def _short_of_quota(pod_spec: Object, copies: int, quota: Object) -> str | None:
    if quota.get("spec", {}).get("scopes") or quota.get("spec", {}).get("scopeSelector"):
        return None  # counts some pods only
    wanted = requests(pod_spec)
    limits: Amounts = {}
    for container in pod_spec.get("containers") or []:
        _add(
            limits,
            {
                name: quantity(value)
                for name, value in ((container.get("resources") or {}).get("limits") or {}).items()
            },
        )
    each = {"pods": Fraction(1), "count/pods": Fraction(1)}
    for name, amount in wanted.items():
        each[f"requests.{name}"] = amount
        if name in ("cpu", "memory"):
            each[name] = amount
    each.update({f"limits.{name}": amount for name, amount in limits.items()})
    status = quota.get("status", {})
    for name, hard in sorted((status.get("hard") or {}).items()):
        spare = quantity(hard) - quantity((status.get("used") or {}).get(name, 0))
        if name in each and copies * each[name] > spare:
            left = f"left of quota {quota['metadata']['name']}: {shown(name, max(spare, Fraction(0)))}"
            return f"needs {_times(copies, name, each[name])}, {left}"
    return None
