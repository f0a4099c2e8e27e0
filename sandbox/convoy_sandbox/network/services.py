# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services as the network sees them: what kube-proxy and a cloud's load balancer do, from the store alone."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import resources
from ..errors import ApiError
from ..times import timestamp
from ..workqueue import Queue
from .addresses import Addresses, Ports
from .data_plane import AtOnce, Cloud, Follower, KubeProxy, Route
from .sockets import Listener, Splice, Wire, connect, reset

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from ..registry import Registry
    from ..store import Change, Object, Store

log = logging.getLogger(__name__)

SERVICE_NAME = "kubernetes.io/service-name"
_PORT_ANNOTATION = "sandbox.convoy.rollout/port-"
_AFFINITY_KEPT = 10_000  #: clients whose endpoint is remembered, per port of a Service

Key = tuple[str, str]
Backend = tuple[str, int]


def backends(slices: Iterable[Object], port_name: str) -> list[Backend]:
    """Where new connections to one port of a Service go: its ready endpoints.

    Where none is ready, the ones that are terminating but still serve take the traffic, as kube-proxy
    has it.
    """
    ready: list[Backend] = []
    terminating: list[Backend] = []
    for item in slices:
        numbers = [
            port["port"]
            for port in item.get("ports") or ()
            if (port.get("name") or "") == port_name and port.get("protocol", "TCP") == "TCP" and port.get("port")
        ]
        for endpoint in item.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            found = [(address, number) for address in endpoint["addresses"][:1] for number in numbers]
            if conditions.get("ready", True):
                ready += found
            elif conditions.get("serving") and conditions.get("terminating"):
                terminating += found
    return ready or terminating


@dataclass
class _Target:
    """One port of a Service, as one proxy knows it: where its connections go, and who is tied to which endpoint."""

    backends: list[Backend] = field(default_factory=list)
    affinity_seconds: int = 0
    tied: dict[str, tuple[Backend, float]] = field(default_factory=dict)

    def choose(self, client: str, now: float, chance: random.Random) -> Backend:
        """The endpoint of a new connection: at random, or with ClientIP affinity the client's own."""
        if not self.affinity_seconds:
            return chance.choice(self.backends)
        backend, last = self.tied.pop(client, (None, 0.0))
        if backend is None or now - last > self.affinity_seconds or backend not in self.backends:
            backend = chance.choice(self.backends)
        self.tied[client] = (backend, now)
        if len(self.tied) > _AFFINITY_KEPT:
            del self.tied[next(iter(self.tied))]
        return backend


@dataclass
class _Face:
    """One address and port that a Service is reached at."""

    target: _Target
    listener: Listener | None = None
    bound: socket.socket | None = None  # holds the port while nothing listens
    real: int = 0


class ServiceProxy:
    """Listens on the cluster IPs, node ports and external addresses of the Services of a store.

    A port without endpoints refuses connections. A connection stays with its endpoint until either
    side ends it, whatever becomes of the Service. Which endpoints there are it learns as its `data_plane` does; what it
    leads to an address that no pod has any more is never answered.
    """

    def __init__(self, store: Store, ports: Ports, data_plane: str, chance: random.Random | None = None) -> None:
        self._store = store
        self._ports = ports
        self._external: dict[Key, str] = {}
        self._faces: dict[Key, dict[tuple[str, int], _Face]] = {}
        self._targets: dict[Key, dict[tuple[str, str], _Target]] = {}
        self._splices: set[Splice] = set()
        self._unanswered: set[Wire] = set()
        self._loop = asyncio.get_running_loop()
        self._chance = chance = chance or random.Random()
        self._followers: dict[str, Follower] = {}
        for where in ("inside", "outside"):

            def apply(key: Key, routes: Mapping[str, Route], where: str = where) -> None:
                self._route(key, where, routes)

            if data_plane == "instant":
                self._followers[where] = AtOnce(self._routes, apply)
            elif data_plane == "cloud" and where == "outside":
                self._followers[where] = Cloud(self._loop, chance, self._routes, apply)
            else:
                self._followers[where] = KubeProxy(self._loop, chance, self._routes, apply)
        self._unsubscribe = store.subscribe(self._changed)
        for service in store.list(resources.SERVICES):
            self.sync((service["metadata"]["namespace"], service["metadata"]["name"]))

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        if change.resource == resources.SERVICES:
            self.sync((meta["namespace"], meta["name"]))
        elif change.resource == resources.ENDPOINTSLICES:
            name = (meta.get("labels") or {}).get(SERVICE_NAME)
            if name:
                self._follow((meta["namespace"], name))

    def expose(self, key: Key, ip: str | None) -> None:
        """Listen on an external address for one Service too, or with None no longer."""
        if ip is None:
            self._external.pop(key, None)
        else:
            self._external[key] = ip
        self.sync(key)

    def sync(self, key: Key) -> None:
        """Make the listeners of one Service what the store says."""
        service = self._store.get(resources.SERVICES, *key)
        external = self._external.get(key)
        named = _faces_of(service, _node_ips(self._store), external) if service else {}
        wanted = {where: ("outside" if where[0] == external else "inside", name) for where, name in named.items()}
        targets = self._targets.setdefault(key, {})
        for each in set(wanted.values()):
            targets.setdefault(each, _Target())
        faces = self._faces.setdefault(key, {})
        for where in [where for where in faces if where not in wanted]:
            self._remove(where, faces.pop(where))
        for where, each in wanted.items():
            face = faces.get(where)
            if face is None:
                face = self._bind(where, targets[each])
                if face is None:
                    continue
                faces[where] = face
            face.target = targets[each]
            self._open_or_close(where, face)
        for each in set(targets) - set(wanted.values()):
            del targets[each]
        if not faces:
            del self._faces[key], self._targets[key]
        self._follow(key)

    def _follow(self, key: Key) -> None:
        for follower in self._followers.values():
            follower.changed(key)

    def _routes(self, key: Key) -> dict[str, Route]:
        """Where connections to each port of a Service go, as the store says now."""
        service = self._store.get(resources.SERVICES, *key)
        if service is None:
            return {}
        slices = [
            item
            for item in self._store.list(resources.ENDPOINTSLICES, key[0])
            if (item["metadata"].get("labels") or {}).get(SERVICE_NAME) == key[1]
        ]
        names = {port.get("name") or "" for port in service["spec"].get("ports") or ()}
        return {name: Route(backends(slices, name), _affinity(service)) for name in names}

    def _route(self, key: Key, where: str, routes: Mapping[str, Route]) -> None:
        """Have connections go where a proxy has heard that they go."""
        for (place, name), target in self._targets.get(key, {}).items():
            if place == where:
                target.backends, target.affinity_seconds = routes.get(name, Route([]))
        for address, face in self._faces.get(key, {}).items():
            self._open_or_close(address, face)

    def _bind(self, where: tuple[str, int], target: _Target) -> _Face | None:
        try:
            sock = self._ports.bind(*where)
        except OSError as problem:
            log.warning("%s:%s cannot be listened on: %s", *where, problem)
            return None
        return _Face(target, bound=sock, real=sock.getsockname()[1])

    def _open_or_close(self, where: tuple[str, int], face: _Face) -> None:
        if face.target.backends and face.listener is None:
            sock = face.bound
            if sock is not None:
                try:
                    face.listener = Listener(sock, lambda client: self._accepted(face, client))
                except OSError as problem:  # another program has begun to listen on the same address
                    log.warning("%s:%s cannot be listened on: %s", *where, problem)
                    return
                face.bound = None
        elif not face.target.backends and face.listener is not None:
            # The one way to have connections refused again is to let the socket go and bind a new one.
            face.listener.close()
            face.listener = None
            self._ports.release(*where)
            try:
                face.bound = self._ports.bind(*where, preferred=face.real)
            except OSError as problem:
                log.warning("%s:%s can no longer be listened on: %s", *where, problem)

    def _remove(self, where: tuple[str, int], face: _Face) -> None:
        if face.listener is not None:
            face.listener.close()
        if face.bound is not None:
            face.bound.close()
        self._ports.release(*where)

    def _accepted(self, face: _Face, client: socket.socket) -> None:
        target = face.target
        if not target.backends:
            reset(client)
            return
        try:
            peer = client.getpeername()[0] if target.affinity_seconds else ""
        except OSError:
            client.close()
            return
        ip, port = target.choose(peer, time.monotonic(), self._chance)
        if self._ports.is_gone(ip):
            self._leave_unanswered(client)
            return

        def connected(server: socket.socket | None) -> None:
            if server is None:
                reset(client)
                return
            splice = Splice(self._loop, client, server, self._splices.discard)
            self._splices.add(splice)
            splice.start()

        connect(self._loop, (ip, self._ports.real(ip, port)), connected)

    def _leave_unanswered(self, client: socket.socket) -> None:
        """Nobody has the address any more, and nobody says so: the client waits until it has had enough."""
        wire = Wire(self._loop, client, lambda _data: None, lambda _lost: ended())

        def ended() -> None:
            self._unanswered.discard(wire)
            wire.close()

        self._unanswered.add(wire)
        wire.read()

    def close(self) -> None:
        """Stop listening and reset every connection."""
        self._unsubscribe()
        for follower in self._followers.values():
            follower.close()
        for wire in list(self._unanswered):
            wire.abort()
        for faces in self._faces.values():
            for where, face in faces.items():
                face.target.backends = []
                self._remove(where, face)
        self._faces.clear()
        for splice in list(self._splices):
            splice.abort()


def _affinity(service: Object) -> int:
    spec = service["spec"]
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    return int(((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds", 10800))


def _node_ips(store: Store) -> list[str]:
    """The nodes' addresses, each once."""
    found = {
        entry["address"]: None
        for node in store.list(resources.NODES)
        for entry in (node.get("status") or {}).get("addresses") or ()
        if entry["type"] == "InternalIP"
    }
    return list(found)


def _faces_of(service: Object, node_ips: list[str], external: str | None) -> dict[tuple[str, int], str]:
    """Every address and port that a Service is reached at, with the name of its port."""
    spec = service["spec"]
    faces: dict[tuple[str, int], str] = {}
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") in (None, "", "None"):
        return faces
    for port in spec.get("ports") or ():
        if port.get("protocol", "TCP") != "TCP":
            continue
        name = port.get("name") or ""
        faces[spec["clusterIP"], port["port"]] = name
        if external:
            faces[external, port["port"]] = name
        if port.get("nodePort"):
            for ip in node_ips:
                faces[ip, port["nodePort"]] = name
    # Addresses are the cluster's own; should a client have brought another one, nobody listens on it.
    return {where: name for where, name in faces.items() if where[0].startswith("127.")}


class LoadBalancers:
    """The cloud's part of a Service of type LoadBalancer: an external address that leads to it."""

    def __init__(
        self, store: Store, registry: Registry, proxy: ServiceProxy, addresses: Addresses, ports: Ports
    ) -> None:
        self._store = store
        self._registry = registry
        self._proxy = proxy
        self._addresses = addresses
        self._ports = ports
        self._given: dict[Key, str] = {}
        self._queue = Queue("service-lb", self._reconcile)
        self._unsubscribe = store.subscribe(self._changed)
        for service in store.list(resources.SERVICES):
            self._queue.add((service["metadata"]["namespace"], service["metadata"]["name"]))

    def _changed(self, change: Change) -> None:
        if change.resource == resources.SERVICES:
            meta = change.object["metadata"]
            self._queue.add((meta["namespace"], meta["name"]))

    def close(self) -> None:
        """Give out nothing more."""
        self._unsubscribe()
        self._queue.close()

    def _reconcile(self, key: Hashable) -> None:
        assert isinstance(key, tuple)  # noqa: S101 - what _changed puts in
        service = self._store.get(resources.SERVICES, *key)
        wanted = service is not None and service["spec"].get("type") == "LoadBalancer"
        if not wanted:
            address = self._given.pop(key, None)
            if address:
                self._proxy.expose(key, None)
                self._addresses.external.release(address)
        elif key not in self._given:
            asked = service["spec"].get("loadBalancerIP") or "" if service else ""
            self._given[key] = asked if self._addresses.external.claim(asked) else self._addresses.external.take()
            self._proxy.expose(key, self._given[key])
        if service is not None:
            self._report(key, service)

    def _report(self, key: Key, service: Object) -> None:
        """Write the address into the Service, and which of its ports are elsewhere."""
        ip = self._given.get(key)
        statuses = []
        elsewhere: dict[str, str] = {}
        for port in service["spec"].get("ports") or () if ip else ():
            place = self._ports.place(ip or "", port["port"])
            if place is not None and place.error:
                error = f"sandbox.convoy.rollout/{place.error}"
                statuses.append({"port": port["port"], "protocol": port.get("protocol", "TCP"), "error": error})
                elsewhere[f"{_PORT_ANNOTATION}{port['port']}"] = str(place.port)
        self._annotate(key, service, ip or "", elsewhere)
        entry: dict[str, object] = {"ip": ip, "ipMode": "VIP", **({"ports": statuses} if statuses else {})}
        ingress = [entry] if ip else []
        if ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress", []) == ingress:
            return

        def change(obj: Object) -> None:
            obj["status"] = {**obj.get("status", {}), "loadBalancer": {"ingress": ingress} if ingress else {}}

        self._registry.modify(resources.SERVICES, *key, change, subresource="status", manager="service-lb")

    def _annotate(self, key: Key, service: Object, ip: str, elsewhere: dict[str, str]) -> None:
        annotations = service["metadata"].get("annotations") or {}
        present = {name: value for name, value in annotations.items() if name.startswith(_PORT_ANNOTATION)}
        if present == elsewhere:
            return
        kept = {name: value for name, value in annotations.items() if name not in present}

        def change(obj: Object) -> None:
            obj["metadata"]["annotations"] = {**kept, **elsewhere}

        self._registry.modify(resources.SERVICES, *key, change, manager="service-lb")
        for name, real in elsewhere.items():
            number = name.removeprefix(_PORT_ANNOTATION)
            self._event(
                service,
                f"port {number} of {ip} is taken, or not permitted to this user; port {real} is used instead",
            )

    def _event(self, service: Object, message: str) -> None:
        meta = service["metadata"]
        now = timestamp()
        event = {
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
            "involvedObject": {
                "kind": "Service", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"],
                "apiVersion": "v1", "resourceVersion": meta["resourceVersion"],
            },
            "reason": "PortElsewhere", "message": message, "type": "Warning",
            "source": {"component": "service-lb"}, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
            "reportingComponent": "service-lb", "reportingInstance": "",
        }  # fmt: skip
        try:
            self._registry.create(resources.EVENTS, meta["namespace"], event, manager="service-lb")
        except ApiError as problem:
            log.info("no event on %s/%s: %s", meta["namespace"], meta["name"], problem)


def resolve(store: Store, namespace: str, host: str) -> str | None:
    """The address of a host name inside the cluster, or None: a Service by its short or full name."""
    name, _, rest = host.rstrip(".").partition(".")
    zone, _, domain = rest.partition(".")
    if domain not in ("", "svc", "svc.cluster.local"):
        return None
    service = store.get(resources.SERVICES, zone or namespace, name)
    ip = service["spec"].get("clusterIP") if service else None
    return ip if ip and ip != "None" else None


def environment(store: Store, ports: Ports, namespace: str) -> dict[str, str]:
    """The variables by which a container finds the Services of its namespace (HELLO_SERVICE_HOST ...).

    The ports are those that really listen, so that a plain program reaches them.
    """
    found: dict[str, str] = {}
    for service in store.list(resources.SERVICES, namespace):
        ip = service["spec"].get("clusterIP")
        if not ip or ip == "None":
            continue
        prefix = service["metadata"]["name"].upper().replace("-", "_")
        found[f"{prefix}_SERVICE_HOST"] = ip
        for index, port in enumerate(service["spec"].get("ports") or ()):
            real = str(ports.real(ip, port["port"]))
            if index == 0:
                found[f"{prefix}_SERVICE_PORT"] = real
            if port.get("name"):
                found[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = real
    return found
