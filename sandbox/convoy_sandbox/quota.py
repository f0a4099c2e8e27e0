"""ResourceQuota: what a namespace uses, and whether one object more still fits."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from . import errors, quantities, resources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .resources import Resource
    from .store import Object, Store

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
    if resource == resources.PODS:
        if obj["status"].get("phase") not in ("Succeeded", "Failed"):
            usage |= pod_usage(obj)
    elif not resource.group and resource.plural in _COUNTED:
        usage[resource.plural] = Decimal(1)
    if resource == resources.SERVICES:
        if obj["spec"]["type"] == "LoadBalancer":
            usage["services.loadbalancers"] = Decimal(1)
        if obj["spec"]["type"] in ("LoadBalancer", "NodePort"):
            usage["services.nodeports"] = Decimal(len(obj["spec"].get("ports") or ()))
    return usage


def used(store: Store, namespace: str, names: Iterable[str]) -> dict[str, Decimal]:
    """What a namespace uses of the named resources."""
    found = dict.fromkeys(names, Decimal(0))
    for resource in resources.RESOURCES.values():
        if not resource.namespaced or resource == resources.EVENTS:
            continue
        for obj in store.list(resource, namespace):
            for name, amount in usage_of(resource, obj).items():
                if name in found:
                    found[name] += amount
    return found


def admit(store: Store, resource: Resource, new: Object, old: Object | None = None) -> None:
    """Raises ApiError 403 where a quota of the namespace has no room for an object."""
    namespace = new["metadata"].get("namespace", "")
    quotas = store.list(resources.RESOURCEQUOTAS, namespace) if namespace else []
    if not quotas:
        return
    wanted = usage_of(resource, new)
    for name, amount in (usage_of(resource, old) if old else {}).items():
        wanted[name] = wanted.get(name, Decimal(0)) - amount
    for quota in quotas:
        hard = {name: quantities.parse(value) for name, value in (quota["spec"].get("hard") or {}).items()}
        missing = [
            name
            for name in hard
            if resource == resources.PODS and name not in wanted and name in _POD_NAMES and old is None
        ]
        object_name = new["metadata"]["name"]
        if missing:
            raise errors.forbidden(
                resource,
                object_name,
                f"failed quota: {quota['metadata']['name']}: must specify "
                + "; ".join(f"{name} for: {_containers(new)}" for name in sorted(missing)),
            )
        asked = {name: amount for name, amount in wanted.items() if name in hard and amount > 0}
        if not asked:
            continue
        now = used(store, namespace, asked)
        over = sorted(name for name, amount in asked.items() if now[name] + amount > hard[name])
        if over:
            raise errors.forbidden(
                resource,
                object_name,
                f"exceeded quota: {quota['metadata']['name']}, requested: {_amounts(asked, over)}, "
                f"used: {_amounts(now, over)}, limited: {_amounts(hard, over)}",
            )


_POD_NAMES = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})


def _containers(pod: Object) -> str:
    return ",".join(container["name"] for container in pod["spec"]["containers"])


def _amounts(values: dict[str, Decimal], names: list[str]) -> str:
    return ",".join(f"{name}={text(name, values[name])}" for name in names)


def text(name: str, amount: Decimal) -> str:
    """An amount as quota messages and `status.used` write it: memory in binary units where it divides."""
    if name.endswith("memory") and amount >= 1024 and amount % 1024 == 0:
        return quantities.canonical(f"{int(amount) // 1024}Ki")
    return quantities.canonical(f"{amount:f}")
