# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""ResourceQuota: what a namespace uses, and whether one object more still fits."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from . import errors, quantities, resources, times
from .kinds.pods import containers_of, qos_class

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .resources import Resource
    from .store import Object, Store

#: What may count for more after an update than it did when it was made.
RECOUNTED = frozenset({resources.PODS, resources.SERVICES, resources.PERSISTENTVOLUMECLAIMS})
#: Resources that are counted under their plain name.
_COUNTED = ("pods", "services", "secrets", "configmaps", "resourcequotas", "persistentvolumeclaims")


def pod_usage(pod: Object) -> dict[str, Decimal]:
    """What one pod counts for: itself, and the sums of its containers' requests and limits."""
    usage: dict[str, Decimal] = {"pods": Decimal(1)}
    for container in pod["spec"].get("containers") or ():
        for kind in ("requests", "limits"):
            for name, value in ((container.get("resources") or {}).get(kind) or {}).items():
                key = f"{kind}.{name}"
                usage[key] = usage.get(key, Decimal(0)) + quantities.parse(value)
    for name in ("cpu", "memory"):
        if f"requests.{name}" in usage:
            usage[name] = usage[f"requests.{name}"]
    return usage


def usage_of(resource: Resource, obj: Object) -> dict[str, Decimal]:
    """What one object counts for in its namespace's quotas."""
    usage = {f"count/{resource.qualified}": Decimal(1)}
    if resource == resources.PERSISTENTVOLUMECLAIMS:
        storage = ((obj["spec"].get("resources") or {}).get("requests") or {}).get("storage")
        usage["requests.storage"] = quantities.parse(storage) if storage else Decimal(0)
    if resource == resources.PODS:
        if obj["status"].get("phase") not in ("Succeeded", "Failed") and not _stuck(obj):
            usage |= pod_usage(obj)
    elif not resource.group and resource.plural in _COUNTED:
        usage[resource.plural] = Decimal(1)
    if resource == resources.SERVICES:
        if obj["spec"]["type"] == "LoadBalancer":
            usage["services.loadbalancers"] = Decimal(1)
        if obj["spec"]["type"] in ("LoadBalancer", "NodePort"):
            usage["services.nodeports"] = Decimal(len(obj["spec"].get("ports") or ()))
    return usage


def _stuck(pod: Object) -> bool:
    """Whether a pod should have been gone for as long as it was given to end: it counts for nothing any more."""
    meta = pod["metadata"]
    due, grace = meta.get("deletionTimestamp"), meta.get("deletionGracePeriodSeconds")
    if due is None or grace is None:
        return False
    return times.now() > datetime.datetime.fromisoformat(due) + datetime.timedelta(seconds=grace)


def in_scope(quota: Object, resource: Resource, obj: Object) -> bool:
    """Whether a quota counts an object: quotas with scopes count some pods only."""
    spec = quota["spec"]
    terms = [
        *({"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()),
        *((spec.get("scopeSelector") or {}).get("matchExpressions") or ()),
    ]
    return not terms or (resource == resources.PODS and all(_fits(term, obj) for term in terms))


def _fits(term: Object, pod: Object) -> bool:
    spec, name = pod["spec"], term["scopeName"]
    if name in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) == (name == "Terminating")
    if name in ("BestEffort", "NotBestEffort"):
        return (qos_class(spec) == "BestEffort") == (name == "BestEffort")
    if name == "CrossNamespacePodAffinity":
        affinity = spec.get("affinity") or {}
        return any(
            (each.get("podAffinityTerm") or each).get(key) is not None
            for kind in ("podAffinity", "podAntiAffinity")
            for terms in (affinity.get(kind) or {}).values()
            for each in terms
            for key in ("namespaces", "namespaceSelector")
        )
    value, values = spec.get("priorityClassName") or "", term.get("values") or ()
    operator = term.get("operator")
    if operator in ("In", "NotIn"):
        return (value in values) == (operator == "In")
    return bool(value) == (operator == "Exists")


def used(store: Store, quota: Object, names: Iterable[str]) -> dict[str, Decimal]:
    """What the namespace of a quota uses of the named resources, as far as the quota counts it."""
    found = dict.fromkeys(names, Decimal(0))
    for resource in resources.RESOURCES.values():
        if not resource.namespaced or resource == resources.EVENTS:
            continue
        for obj in store.list(resource, quota["metadata"]["namespace"]):
            if not in_scope(quota, resource, obj):
                continue
            for name, amount in usage_of(resource, obj).items():
                if name in found:
                    found[name] += amount
    return found


def admit(store: Store, resource: Resource, new: Object, old: Object | None = None) -> None:
    """Raises ApiError 403 where a quota of the namespace has no room for an object."""
    namespace = new["metadata"].get("namespace", "")
    quotas = store.list(resources.RESOURCEQUOTAS, namespace) if namespace else []
    quotas = [quota for quota in quotas if in_scope(quota, resource, new)]
    for quota in quotas if resource == resources.PODS and old is None else ():
        _require(quota, new)
    for quota in quotas:
        _admit(store, quota, resource, new, old)


def _require(quota: Object, pod: Object) -> None:
    """Raises ApiError 403 where a container does not say how much it wants of what a quota counts."""
    missing = {name: _without(pod, name) for name in sorted(quota["spec"].get("hard") or {}) if name in _POD_NAMES}
    texts = [f"{name} for: {','.join(containers)}" for name, containers in missing.items() if containers]
    if texts:
        why = f"failed quota: {quota['metadata']['name']}: must specify {'; '.join(texts)}"
        raise errors.forbidden(resources.PODS, pod["metadata"]["name"], why)


def _admit(store: Store, quota: Object, resource: Resource, new: Object, old: Object | None) -> None:
    hard = {name: quantities.parse(value) for name, value in (quota["spec"].get("hard") or {}).items()}
    object_name, quota_name = new["metadata"]["name"], quota["metadata"]["name"]
    wanted = usage_of(resource, new)
    for name, amount in (usage_of(resource, old) if old and in_scope(quota, resource, old) else {}).items():
        wanted[name] = wanted.get(name, Decimal(0)) - amount
    asked = {name: amount for name, amount in wanted.items() if name in hard and amount > 0}
    if not asked:
        return
    now = used(store, quota, asked)
    over = sorted(name for name, amount in asked.items() if now[name] + amount > hard[name])
    if over:
        raise errors.forbidden(
            resource,
            object_name,
            f"exceeded quota: {quota_name}, requested: {_amounts(asked, over)}, "
            f"used: {_amounts(now, over)}, limited: {_amounts(hard, over)}",
        )


_POD_NAMES = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})


def _without(pod: Object, name: str) -> list[str]:
    """The containers that do not say how much they want of what a quota counts."""
    kind, _, resource = name.rpartition(".")
    return sorted(
        container["name"]
        for container in containers_of(pod["spec"])
        if resource not in ((container.get("resources") or {}).get(kind or "requests") or {})
    )


def _amounts(values: dict[str, Decimal], names: list[str]) -> str:
    return ",".join(f"{name}={text(name, values[name])}" for name in names)


def text(name: str, amount: Decimal) -> str:
    """An amount as quota messages and `status.used` write it: memory in binary units where it divides."""
    if name.endswith("memory") and amount >= 1024 and amount % 1024 == 0:
        return quantities.canonical(f"{int(amount) // 1024}Ki")
    return quantities.canonical(f"{amount:f}")
