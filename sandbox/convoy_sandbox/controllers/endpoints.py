# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Endpoints of Services, as clients of old read them; and the EndpointSlices of Endpoints that a user writes."""

from __future__ import annotations

from collections.abc import Iterable

from .. import resources
from ..kinds.pods import random_suffix
from ..registry import Registry
from ..selectors import labels_of
from ..store import Change, Object, Store
from ..times import timestamp
from .endpointslice import MANAGED_BY, SERVICE_NAME
from .owners import owner_reference
from .runtime import Controller

MANAGED = "endpoints.kubernetes.io/managed-by"
_CONTROLLER = "endpoint-controller"
_TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
_HEADLESS = "service.kubernetes.io/headless"
_MIRROR = "endpointslicemirroring-controller.k8s.io"


def subsets(slices: Iterable[Object]) -> list[Object]:
    """What EndpointSlices say, as Endpoints say it: pods that end are left out."""
    found: list[Object] = []
    for item in slices:
        sides: dict[bool, list[Object]] = {True: [], False: []}
        for endpoint in item.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            if conditions.get("terminating") and not conditions.get("ready"):
                continue
            for address in endpoint["addresses"]:
                entry = {"ip": address, "nodeName": endpoint.get("nodeName"), "targetRef": endpoint.get("targetRef")}
                shown = {key: value for key, value in entry.items() if value is not None}
                sides[bool(conditions.get("ready", True))].append(shown)
        if not any(sides.values()):
            continue
        ports = [
            {key: port[key] for key in ("name", "port", "protocol", "appProtocol") if port.get(key)}
            for port in item.get("ports") or ()
        ]
        subset = {"addresses": sides[True], "notReadyAddresses": sides[False], "ports": ports}
        found.append({key: value for key, value in subset.items() if value})
    return found


def mirrored(subset: Object) -> tuple[list[Object], list[Object]]:
    """One subset of Endpoints as the endpoints and the ports of an EndpointSlice."""
    endpoints = []
    for key, ready in (("addresses", True), ("notReadyAddresses", False)):
        for address in subset.get(key) or ():
            entry: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
            entry |= {name: address[name] for name in ("hostname", "nodeName", "targetRef") if name in address}
            endpoints.append(entry)
    ports = [{"name": port.get("name", ""), **port} for port in subset.get("ports") or ()]
    return endpoints, ports


class EndpointsController(Controller[tuple[str, str]]):
    """Writes the Endpoints of Services that have a selector, and the slices of those of others."""

    def __init__(self, store: Store, registry: Registry) -> None:
        super().__init__(store, registry, "endpoints")

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        if change.resource in (resources.SERVICES, resources.ENDPOINTS):
            self._queue.add((meta["namespace"], meta["name"]))
        elif change.resource == resources.ENDPOINTSLICES and SERVICE_NAME in labels_of(change.object):
            self._queue.add((meta["namespace"], labels_of(change.object)[SERVICE_NAME]))

    def _reconcile(self, key: tuple[str, str]) -> None:
        service = self._store.get(resources.SERVICES, *key)
        current = self._store.get(resources.ENDPOINTS, *key)
        if service is None or service["spec"]["type"] == "ExternalName":
            if current is not None:
                self._registry.delete(resources.ENDPOINTS, *key)
            self._mirror(key, None, [])
        elif not service["spec"].get("selector"):
            own = current if current is not None and labels_of(current).get(MANAGED) != _CONTROLLER else None
            self._mirror(key, service, (own or {}).get("subsets") or [])
        else:
            self._write(key, service, current)

    def _slices(self, key: tuple[str, str]) -> list[Object]:
        return [
            item for item in self._store.list(resources.ENDPOINTSLICES, key[0])
            if labels_of(item).get(SERVICE_NAME) == key[1]
        ]  # fmt: skip

    def _write(self, key: tuple[str, str], service: Object, current: Object | None) -> None:
        found = subsets(self._slices(key))
        headless = {_HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
        labels = {**labels_of(service), MANAGED: _CONTROLLER, **headless}
        if current is None:
            meta = {"name": key[1], "namespace": key[0], "labels": labels, "annotations": {_TRIGGER: timestamp()}}
            body: Object = {"metadata": meta, **({"subsets": found} if found else {})}
            self._registry.create(resources.ENDPOINTS, key[0], body, manager="kube-controller-manager")
            return
        if (current.get("subsets") or []) == found and labels_of(current) == labels:
            return

        def change(obj: Object) -> None:
            obj["metadata"]["labels"] = labels
            obj["metadata"]["annotations"] = {**(obj["metadata"].get("annotations") or {}), _TRIGGER: timestamp()}
            obj.pop("subsets", None)
            if found:
                obj["subsets"] = found

        self._registry.modify(resources.ENDPOINTS, *key, change, manager="kube-controller-manager")

    def _mirror(self, key: tuple[str, str], service: Object | None, wanted: list[Object]) -> None:
        """Keep a slice for each subset that a user has written."""
        slices = [item for item in self._slices(key) if labels_of(item).get(MANAGED_BY) == _MIRROR]
        for subset in wanted if service is not None else ():
            endpoints, ports = mirrored(subset)
            same = next((item for item in slices if _said(item) == (endpoints, ports)), None)
            if same is not None:
                slices.remove(same)
                continue
            body: Object = {
                "metadata": {
                    "name": f"{key[1]}-{random_suffix()}",
                    "generateName": f"{key[1]}-",
                    "namespace": key[0],
                    "labels": {MANAGED_BY: _MIRROR, SERVICE_NAME: key[1]},
                    "ownerReferences": [owner_reference(service)] if service is not None else [],
                },
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": ports,
            }
            self._registry.create(resources.ENDPOINTSLICES, key[0], body, manager="kube-controller-manager")
        for item in slices:
            self._registry.delete(resources.ENDPOINTSLICES, key[0], item["metadata"]["name"])


def _said(item: Object) -> tuple[list[Object], list[Object]]:
    return item.get("endpoints") or [], item.get("ports") or []
