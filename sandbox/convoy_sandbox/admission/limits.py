# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""LimitRanges: the resources that a namespace gives to containers by default, and the bounds that it sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from .. import quantities, resources
from ..kinds.pods import containers_of
from ..resources import Resource
from ..store import Object, Store

_ANNOTATION = "kubernetes.io/limit-ranger"
Amounts = dict[str, str]


def _limits(store: Store, namespace: str, type_: str) -> Iterable[Object]:
    for limit_range in store.list(resources.LIMITRANGES, namespace):
        for limit in limit_range["spec"].get("limits") or ():
            if limit.get("type") == type_:
                yield limit


def complete(store: Store, pod: Object) -> None:
    """Give the containers of a pod the requests and limits that they do not name themselves."""
    given: list[str] = []
    limits: Amounts = {}
    requests: Amounts = {}
    for limit in _limits(store, pod["metadata"]["namespace"], "Container"):
        limits |= limit.get("default") or {}
        requests |= limit.get("defaultRequest") or {}
    if not limits and not requests:
        return
    for key in ("containers", "initContainers"):
        what = "container" if key == "containers" else "init container"
        for container in pod["spec"].get(key) or ():
            own = container.setdefault("resources", {})
            for kind, defaults in (("requests", requests), ("limits", limits)):
                missing = sorted(name for name in defaults if name not in (own.get(kind) or {}))
                if missing:
                    own[kind] = {**(own.get(kind) or {}), **{name: defaults[name] for name in missing}}
                    given.append(f"{', '.join(missing)} {kind[:-1]} for {what} {container['name']}")
    if given:
        annotations = {**(pod["metadata"].get("annotations") or {})}
        annotations[_ANNOTATION] = "LimitRanger plugin set: " + "; ".join(given)
        pod["metadata"]["annotations"] = annotations


def problems(store: Store, resource: Resource, obj: Object) -> list[str]:
    """The bounds of its namespace that a pod or a claim breaks, in the API server's words."""
    namespace = obj["metadata"]["namespace"]
    found: list[str] = []
    if resource == resources.PODS:
        for container in containers_of(obj["spec"]):
            own = container.get("resources") or {}
            for limit in _limits(store, namespace, "Container"):
                found += _broken(limit, "Container", own.get("requests") or {}, own.get("limits") or {})
        for limit in _limits(store, namespace, "Pod"):
            found += _broken(limit, "Pod", _total(obj["spec"], "requests"), _total(obj["spec"], "limits"))
    elif resource == resources.PERSISTENTVOLUMECLAIMS:
        requests = (obj["spec"].get("resources") or {}).get("requests") or {}
        for limit in _limits(store, namespace, "PersistentVolumeClaim"):
            found += _broken(limit, "PersistentVolumeClaim", requests, None)
    return found


def _total(spec: Object, kind: str) -> Amounts:
    """What all containers of a pod name together; a resource that one of them does not name is left out."""
    named = [(container.get("resources") or {}).get(kind) or {} for container in spec.get("containers") or ()]
    keys = set.intersection(*(set(each) for each in named)) if named else set()
    sums = {key: sum((quantities.parse(each[key]) for each in named), Decimal(0)) for key in keys}
    binary = {key for key in keys if any(str(each[key]).endswith("i") for each in named)}
    return {key: quantities.canonical(_text(value, binary=key in binary)) for key, value in sums.items()}


def _text(value: Decimal, *, binary: bool) -> str:
    if binary and value >= 1024 and value % 1024 == 0:
        return f"{int(value) // 1024}Ki"
    return f"{value:f}"


def _broken(limit: Object, what: str, requests: Amounts, limits: Amounts | None) -> list[str]:
    """The bounds that requests and limits break; `limits` is None for claims, which have none."""
    checks: tuple[tuple[str, Callable[[str, str], str]], ...] = (
        ("min", lambda name, bound: _below(name, bound, what, requests.get(name), (limits or {}).get(name))),
        ("max", lambda name, bound: _above(name, bound, what, requests.get(name), limits)),
        ("maxLimitRequestRatio", lambda name, bound: _ratio(name, bound, what, requests, limits or {})),
    )
    # The API server goes through a map in any order; this is the recorded one.
    texts = [
        check(name, bound)
        for key, check in checks
        for name, bound in sorted((limit.get(key) or {}).items(), reverse=True)
    ]
    return [text for text in texts if text]


def _below(name: str, bound: str, what: str, request: str | None, limit: str | None) -> str:
    start = f"minimum {name} usage per {what} is {bound}"
    if request is None:
        return f"{start}.  No request is specified"
    if quantities.parse(request) < quantities.parse(bound):
        return f"{start}, but request is {request}"
    if limit is not None and quantities.parse(limit) < quantities.parse(bound):
        return f"{start}, but limit is {limit}"
    return ""


def _above(name: str, bound: str, what: str, request: str | None, limits: Amounts | None) -> str:
    start = f"maximum {name} usage per {what} is {bound}"
    if limits is not None:
        if name not in limits:
            return f"{start}.  No limit is specified"
        if quantities.parse(limits[name]) > quantities.parse(bound):
            return f"{start}, but limit is {limits[name]}"
    elif request is None:
        return f"{start}.  No request is specified"
    if request is not None and quantities.parse(request) > quantities.parse(bound):
        return f"{start}, but request is {request}"
    return ""


def _ratio(name: str, bound: str, what: str, requests: Amounts, limits: Amounts) -> str:
    start = f"{name} max limit to request ratio per {what} is {bound}"
    for kind, amounts in (("request", requests), ("limit", limits)):
        if not quantities.parse(amounts.get(name, "0")):
            return f"{start}, but no {kind} is specified or {kind} is 0"
    ratio = quantities.parse(limits[name]) / quantities.parse(requests[name])
    return f"{start}, but provided ratio is {ratio:.6f}" if ratio > quantities.parse(bound) else ""
