# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which ResourceQuotas count the pods of a template, and which admit none of them. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _amounts,
    _images,
    _limit_ranges,
    _selectors,
)

Object = t.Dict[str, t.Any]

#: What a quota on them has every container name: the field of its resources, and the resource.
NAMED = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}


@dataclass(frozen=True)
class Quota:
    """A ResourceQuota that counts the pods."""

    name: str
    hard: t.Mapping[str, str]
    used: t.Mapping[str, str]
    lacking: t.Mapping[str, tuple[str, ...]]  #: what it has every container name, and the containers that do not

    @property
    def refusal(self) -> str:
        """Why it admits none of the pods, in Kubernetes' words; empty where it admits them."""
        said = "; ".join(f"{resource} for: {','.join(names)}" for resource, names in sorted(self.lacking.items()))
        return f"failed quota: {self.name}: must specify {said}" if said else ""


def applying(
    quotas: t.Iterable[Object], pod_spec: Object, limit_ranges: t.Sequence[Object] | None = ()
) -> tuple[Quota, ...]:
    """The quotas that count pods of this kind, and what such pods lack for them.

    Where LimitRanges cannot be read, None, they may well give what is lacking, so nothing is said of that.
    """
    whole = _limit_ranges.defaulted(pod_spec, limit_ranges or ())
    return tuple(
        Quota(
            name=item["metadata"]["name"],
            hard=dict(hard(item)),
            used=dict(item.get("status", {}).get("used") or {}),
            lacking=lacking(item, whole) if limit_ranges is not None else {},
        )
        for item in quotas
        if counts(item, whole)
    )


def hard(quota: Object) -> t.Mapping[str, str]:
    """What a quota limits: as its controller has taken it in, else as it is asked for."""
    return quota.get("status", {}).get("hard") or (quota.get("spec") or {}).get("hard") or {}


def objects_short(quota: Object, objects: t.Mapping[str, int]) -> t.Iterator[tuple[str, int, int]]:
    """Of what is to be created by resource, such as deployments.apps: what a quota does not have left, and how many.

    A quota with scopes counts pods and claims only.
    """
    spec = quota.get("spec") or {}
    if spec.get("scopes") or spec.get("scopeSelector"):
        return
    used = quota.get("status", {}).get("used") or {}
    for resource, count in objects.items():
        for name in (f"count/{resource}", resource):
            if name in hard(quota):
                left = max(0, int(_amounts.quantity(hard(quota)[name]) - _amounts.quantity(used.get(name, 0))))
                if count > left:
                    yield name, count, left


def objects_of(manifest: Object, resource: str) -> dict[str, int]:
    """What an object that is created counts as, by resource; a Service also by its load balancer and node ports."""
    found = {resource: 1}
    spec = manifest.get("spec") or {}
    if resource == "services" and spec.get("type") in ("LoadBalancer", "NodePort"):
        balanced = spec["type"] == "LoadBalancer"
        ports = len(spec.get("ports") or []) if not balanced or spec.get("allocateLoadBalancerNodePorts", True) else 0
        found.update({"services.nodeports": ports, **({"services.loadbalancers": 1} if balanced else {})})
    return found


def is_of_priority(quota: Object) -> bool:
    """Whether a quota counts pods by their PriorityClass."""
    spec = quota.get("spec") or {}
    rules = (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    return "PriorityClass" in [*(spec.get("scopes") or []), *(rule["scopeName"] for rule in rules)]


def lacking(quota: Object, pod_spec: Object) -> dict[str, tuple[str, ...]]:
    """What a quota has every container name, by the containers that do not: such pods are not admitted."""
    of_pod = pod_spec.get("resources") or {}
    found: dict[str, tuple[str, ...]] = {}
    for resource in hard(quota):
        if resource not in NAMED:
            continue
        part, name = NAMED[resource]
        if name in (of_pod.get(part) or {}) or (part == "requests" and name in (of_pod.get("limits") or {})):
            continue  # the pod's own resources take the place of its containers'
        without = [
            str(item["name"])
            for item in _images.containers({"spec": pod_spec}, every=True)
            if not _names(item.get("resources") or {}, part, name)
        ]
        if without:
            found[resource] = tuple(without)
    return found


def _names(resources: Object, part: str, name: str) -> bool:
    limits = resources.get("limits") or {}
    return name in (resources.get(part) or {}) or (part == "requests" and name in limits)


def counts(quota: Object, pod_spec: Object) -> bool:
    """Whether a quota counts such pods: each of its scopes must include them."""
    spec = quota.get("spec", {})
    rules = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or []]
    rules += (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    ends = pod_spec.get("activeDeadlineSeconds") is not None
    there = [*_images.containers({"spec": pod_spec}, every=True), pod_spec]
    asks = any(_asks(item.get("resources") or {}, name) for item in there for name in ("cpu", "memory"))
    held = {
        "Terminating": ends,
        "NotTerminating": not ends,
        "BestEffort": not asks,
        "NotBestEffort": asks,
        "CrossNamespacePodAffinity": _crosses(pod_spec),
    }
    priority = pod_spec.get("priorityClassName")
    return all(
        _selectors.holds({**rule, "key": "name"}, {"name": priority} if priority else {})
        if rule["scopeName"] == "PriorityClass"
        else held.get(rule["scopeName"], False)
        for rule in rules
    )


def _crosses(pod_spec: Object) -> bool:
    """Whether a pod's affinity means pods of other namespaces."""
    affinity = pod_spec.get("affinity") or {}
    terms = [
        term
        for kind in ("podAffinity", "podAntiAffinity")
        for rules in (affinity.get(kind) or {}).values()
        for term in rules
    ]
    terms = [term.get("podAffinityTerm") or term for term in terms]
    return any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms)


def _asks(resources: Object, name: str) -> bool:
    """Whether any amount of a resource but 0 is asked for; how much is for others to tell."""
    amounts = [(resources.get(part) or {}).get(name) for part in ("requests", "limits")]
    return any(amount is not None and not _nothing(amount) for amount in amounts)


def _nothing(amount: t.Any) -> bool:
    return not str(amount).strip("0.+-munkKMGTPEie")
