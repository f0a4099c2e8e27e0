# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gateway API and Traefik brought into a cluster, as an administrator would with kubectl apply."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .. import resources
from ..errors import ApiError
from . import manifests

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..registry import Registry
    from ..store import Object, Store

_SECONDS = 100.0  #: until a gateway that does not serve is given up
_LOOK = 0.02  #: seconds between two looks
_MANAGER = "convoy-sandbox"


class GatewayError(Exception):
    """The gateway does not come to serve."""


async def install(store: Store, registry: Registry) -> None:
    """Create the kinds and the gateway, and return when it serves. Raises GatewayError."""
    kinds = [definition["spec"]["names"] for definition in manifests.definitions()]
    for definition in manifests.definitions():
        registry.create(resources.CUSTOMRESOURCEDEFINITIONS, "", definition, manager=_MANAGER)

    async def until(reached: Callable[[], bool], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + _SECONDS
        while not reached():
            if asyncio.get_running_loop().time() > deadline:
                raise GatewayError(f"{what} within {_SECONDS:g} s; {_why(store)}")
            await asyncio.sleep(_LOOK)

    group = "gateway.networking.k8s.io"
    await until(
        lambda: all(registry.catalog.find(group, "v1", names["plural"]) for names in kinds),
        "the kinds of Gateway API are not established",
    )
    for item in manifests.objects():
        meta = item["metadata"]
        try:
            registry.create(_resource(registry, item), meta.get("namespace", ""), item, manager=_MANAGER)
        except ApiError as problem:
            raise GatewayError(f"{item['kind']} {meta['name']} is refused: {problem.message}") from None
    gateways = registry.catalog.find(group, "v1", "gateways")
    assert gateways is not None  # noqa: S101 - it has just been waited for

    def serves() -> bool:
        gateway = store.get(gateways, manifests.NAMESPACE, manifests.GATEWAY)
        endpoints = store.list(resources.ENDPOINTSLICES, manifests.NAMESPACE)
        return (
            gateway is not None
            and _is_true(gateway, "Programmed")
            and any(
                (each.get("conditions") or {}).get("ready") for item in endpoints for each in item["endpoints"] or ()
            )
        )

    await until(serves, f"the gateway {manifests.GATEWAY} does not serve")


def _resource(registry: Registry, item: Object) -> resources.Resource:
    group, _, version = item["apiVersion"].rpartition("/")
    for resource in registry.catalog.all():
        if (resource.group, resource.version, resource.kind) == (group, version, item["kind"]):
            return resource
    raise GatewayError(f"the cluster does not serve {item['apiVersion']} {item['kind']}")


def _is_true(obj: Object, kind: str) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(item["type"] == kind and item["status"] == "True" for item in conditions)


def _why(store: Store) -> str:
    """What a person needs to look further: what its pods say."""
    pods = store.list(resources.PODS, manifests.NAMESPACE)
    said = [
        f"{pod['metadata']['name']} is {next(iter(state))}: {next(iter(state.values())).get('message', '')}"
        for pod in pods
        for each in (pod.get("status") or {}).get("containerStatuses") or ()
        if (state := each.get("state"))
    ]
    return "; ".join(said) or "it has no pods"
