# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The EndpointSlice controller: which addresses are behind a Service, and which of them take traffic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import resources
from ..kinds.pods import random_suffix
from ..registry import Registry
from ..selectors import labels_of
from ..store import Change, Object, Store
from ..times import timestamp
from .owners import owner_reference
from .replicaset import is_ready
from .runtime import Controller

SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_CONTROLLER = "endpointslice-controller.k8s.io"
_TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"

Ports = tuple[tuple[str, str, int, str], ...]  # name, protocol, port, appProtocol


def selects(service: Object, pod: Object) -> bool:
    """Whether a Service's selector picks a pod."""
    selector = service["spec"].get("selector")
    return bool(selector) and selector.items() <= labels_of(pod).items()


def target_port(pod: Object, port: Object) -> int | None:
    """A Service port's number on a pod; None where the pod has no container port of that name."""
    target = port["targetPort"]
    if isinstance(target, int):
        return target
    for container in pod["spec"]["containers"]:
        for candidate in container.get("ports") or ():
            if candidate.get("name") == target and candidate["protocol"] == port["protocol"]:
                return int(candidate["containerPort"])
    return None


def endpoint(pod: Object, *, publish_not_ready: bool) -> Object:
    """A pod as an endpoint: ready takes new connections, serving could, terminating is on its way out."""
    serving = is_ready(pod)
    terminating = bool(pod["metadata"].get("deletionTimestamp"))
    meta = pod["metadata"]
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": publish_not_ready or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]},
        "nodeName": pod["spec"]["nodeName"],
    }


def endpoints(service: Object, pods: Iterable[Object]) -> dict[Ports, list[Object]]:
    """The endpoints of a Service, by the ports they listen on: pods may name their ports differently."""
    spec = service["spec"]
    publish = bool(spec.get("publishNotReadyAddresses"))
    found: dict[Ports, list[Object]] = {}
    for pod in pods:
        if not selects(service, pod) or not pod["status"].get("podIP"):
            continue
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            continue
        ports = []
        for port in spec.get("ports") or ():
            number = target_port(pod, port)
            if number is not None:
                ports.append((port.get("name", ""), port["protocol"], number, port.get("appProtocol", "")))
        found.setdefault(tuple(ports), []).append(endpoint(pod, publish_not_ready=publish))
    return found or {(): []}


def slice_labels(service: Object) -> dict[str, str]:
    """The labels of a Service's EndpointSlices: its own, and whose they are."""
    headless = {HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
    return {**labels_of(service), **headless, MANAGED_BY: _CONTROLLER, SERVICE_NAME: service["metadata"]["name"]}


def _port_objects(ports: Ports) -> list[Object] | None:
    listed = []
    for name, protocol, number, app_protocol in ports:
        item: Object = {"name": name, "protocol": protocol, "port": number}
        if app_protocol:
            item["appProtocol"] = app_protocol
        listed.append(item)
    return listed or None


class EndpointSliceController(Controller[tuple[str, str]]):
    """Writes the EndpointSlices of Services that have a selector."""

    def __init__(self, store: Store, registry: Registry) -> None:
        super().__init__(store, registry, "endpointslice")

    def start(self) -> None:
        """Follow Services and pods."""
        super().start()
        for service in self._store.list(resources.SERVICES):
            self._queue.add((service["metadata"]["namespace"], service["metadata"]["name"]))

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        if change.resource == resources.SERVICES:
            self._queue.add((meta["namespace"], meta["name"]))
        elif change.resource == resources.PODS:
            if change.old is not None and change.type == "MODIFIED" and _seen(change.old) == _seen(change.object):
                return
            for service in self._store.list(resources.SERVICES, meta["namespace"]):
                if selects(service, change.object) or (change.old is not None and selects(service, change.old)):
                    self._queue.add((meta["namespace"], service["metadata"]["name"]))

    def _reconcile(self, key: tuple[str, str]) -> None:
        namespace, name = key
        service = self._store.get(resources.SERVICES, namespace, name)
        slices = [
            item
            for item in self._store.list(resources.ENDPOINTSLICES, namespace)
            if labels_of(item).get(SERVICE_NAME) == name and labels_of(item).get(MANAGED_BY) == _CONTROLLER
        ]
        if service is None or not service["spec"].get("selector") or service["spec"]["type"] == "ExternalName":
            for item in slices:
                self._registry.delete(resources.ENDPOINTSLICES, namespace, item["metadata"]["name"])
            return
        pods = sorted(self._store.list(resources.PODS, namespace), key=_added)
        wanted = endpoints(service, pods)
        for ports, found in wanted.items():
            current = next((s for s in slices if _ports_of(s) == ports), None)
            if current is None and slices and len(wanted) == 1:
                current = slices[0]
            if current is None:
                self._create(service, ports, found)
            else:
                slices.remove(current)
                self._update(service, current, ports, found)
        for item in slices:
            self._registry.delete(resources.ENDPOINTSLICES, namespace, item["metadata"]["name"])

    def _create(self, service: Object, ports: Ports, found: list[Object]) -> None:
        meta = service["metadata"]
        body: Object = {
            "metadata": {
                "name": f"{meta['name']}-{random_suffix()}",
                "generateName": f"{meta['name']}-",
                "namespace": meta["namespace"],
                "labels": slice_labels(service),
                "annotations": {_TRIGGER: timestamp()},
                "ownerReferences": [owner_reference(service)],
            },
            "addressType": "IPv4",
            "endpoints": found,
            "ports": _port_objects(ports),
        }
        self._registry.create(resources.ENDPOINTSLICES, meta["namespace"], body, manager="kube-controller-manager")

    def _update(self, service: Object, current: Object, ports: Ports, found: list[Object]) -> None:
        moved = (current.get("endpoints") or []) != found or _ports_of(current) != ports
        if not moved and labels_of(current) == slice_labels(service):
            return

        def change(obj: Object) -> None:
            obj["metadata"]["labels"] = slice_labels(service)
            if moved:
                obj["endpoints"] = found
                obj["ports"] = _port_objects(ports)
                obj["metadata"].setdefault("annotations", {})[_TRIGGER] = timestamp()

        meta = current["metadata"]
        self._registry.modify(
            resources.ENDPOINTSLICES, meta["namespace"], meta["name"], change, manager="kube-controller-manager"
        )


def _ports_of(item: Object) -> Ports:
    return tuple(
        (p.get("name", ""), p["protocol"], p["port"], p.get("appProtocol", "")) for p in item.get("ports") or ()
    )


def _added(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]


def _seen(pod: Object) -> tuple[Any, ...]:
    """What of a pod its endpoints depend on."""
    return (
        labels_of(pod),
        pod["status"].get("podIP"),
        pod["status"].get("phase"),
        is_ready(pod),
        bool(pod["metadata"].get("deletionTimestamp")),
    )
