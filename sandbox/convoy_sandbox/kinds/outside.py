# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ingresses, network policies and claims of storage: what others act upon, checked as the API server checks it."""

from __future__ import annotations

import ipaddress
from typing import Any

from .. import quantities
from ..errors import Cause
from ..store import Object
from .base import Kind, is_address, required, unsupported, wrong
from .metadata import SUBDOMAIN, name_causes, port_causes, selector_causes

_PATH_TYPES = ["Exact", "ImplementationSpecific", "Prefix"]
_ABSOLUTE = "must be an absolute path"


class IngressKind(Kind):
    has_generation = True

    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})
        obj.setdefault("status", {}).setdefault("loadBalancer", {})

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes: list[Cause] = []
        if not spec.get("rules") and not spec.get("defaultBackend"):
            causes.append(wrong("spec", spec, "either `defaultBackend` or `rules` must be specified"))
        if spec.get("defaultBackend"):
            causes += _backend_causes(spec["defaultBackend"], "spec.defaultBackend")
        for index, rule in enumerate(spec.get("rules") or ()):
            where = f"spec.rules[{index}]"
            host = rule.get("host", "")
            if host and is_address(host):
                causes.append(wrong(f"{where}.host", host, "must be a DNS name, not an IP address"))
            elif host and not SUBDOMAIN.fullmatch(host.removeprefix("*.")):
                causes += name_causes(host, "subdomain", f"{where}.host")
            http = rule.get("http")
            if http is not None and not http.get("paths"):
                causes.append(required(f"{where}.http.paths"))
            for at, path in enumerate((http or {}).get("paths") or ()):
                causes += _path_causes(path, f"{where}.http.paths[{at}]")
        for index, tls in enumerate(spec.get("tls") or ()):
            for at, host in enumerate(tls.get("hosts") or ()):
                causes += name_causes(host.removeprefix("*."), "subdomain", f"spec.tls[{index}].hosts[{at}]")
        if spec.get("ingressClassName"):
            causes += name_causes(spec["ingressClassName"], "subdomain", "spec.ingressClassName")
        return causes


class IngressClassKind(Kind):
    has_generation = True

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        controller = (obj.get("spec") or {}).get("controller", "")
        if old is not None and controller != old["spec"].get("controller"):
            return [wrong("spec.controller", controller, "field is immutable")]
        if not controller:
            return [required("spec.controller", "controller must be specified")]
        domain, slash, path = controller.partition("/")
        if not slash or not path or not SUBDOMAIN.fullmatch(domain):
            return [wrong("spec.controller", controller, 'must be a domain-prefixed path (such as "acme.io/foo")')]
        return []


class NetworkPolicyKind(Kind):
    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        for direction in ("ingress", "egress"):
            for rule in spec.get(direction) or ():
                for port in rule.get("ports") or ():
                    port.setdefault("protocol", "TCP")
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes = selector_causes(spec.get("podSelector") or {}, "spec.podSelector")
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for index, rule in enumerate(spec.get(direction) or ()):
                where = f"spec.{direction}[{index}]"
                for at, port in enumerate(rule.get("ports") or ()):
                    causes += _policy_port_causes(port, f"{where}.ports[{at}]")
                for at, peer in enumerate(rule.get(peers) or ()):
                    causes += _peer_causes(peer, f"{where}.{peers}[{at}]")
        causes += [
            unsupported(f"spec.policyTypes[{index}]", kind, ["Egress", "Ingress"])
            for index, kind in enumerate(spec["policyTypes"])
            if kind not in ("Egress", "Ingress")
        ]
        return causes


def _policy_port_causes(port: Object, where: str) -> list[Cause]:
    causes: list[Cause] = []
    if port["protocol"] not in ("SCTP", "TCP", "UDP"):
        causes.append(unsupported(f"{where}.protocol", port["protocol"], ["SCTP", "TCP", "UDP"]))
    if port.get("port") is not None:
        causes += port_causes(port["port"], f"{where}.port")
    end = port.get("endPort")
    if end is not None and isinstance(port.get("port"), int) and end < port["port"]:
        causes.append(wrong(f"{where}.endPort", end, "must be greater than or equal to `port`"))
    elif end is not None and not isinstance(port.get("port"), int):
        causes.append(required(f"{where}.port", "must be specified when `endPort` is specified"))
    return causes


def _peer_causes(peer: Object, where: str) -> list[Cause]:
    block = peer.get("ipBlock")
    causes: list[Cause] = []
    for key in ("podSelector", "namespaceSelector"):
        causes += selector_causes(peer.get(key) or {}, f"{where}.{key}")
    if block is not None:
        try:
            ipaddress.ip_network(block.get("cidr", ""))
        except ValueError:
            message = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            causes.append(wrong(f"{where}.ipBlock.cidr", block.get("cidr", ""), message))
        if len(peer) > 1:
            message = "Forbidden: may not specify both ipBlock and another peer"
            causes.append(Cause("FieldValueForbidden", message, where))
    elif not peer:
        causes.append(required(where, "must specify a peer"))
    return causes


def _path_causes(path: Object, where: str) -> list[Cause]:
    causes: list[Cause] = []
    kind, text = path.get("pathType"), path.get("path", "")
    if kind is None:
        causes.append(required(f"{where}.pathType", "pathType must be specified"))
    elif kind not in _PATH_TYPES:
        causes.append(unsupported(f"{where}.pathType", kind, _PATH_TYPES))
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            causes.append(wrong(f"{where}.path", text, _ABSOLUTE))
        causes += [
            wrong(f"{where}.path", text, f"must not contain '{part}'")
            for part in ("//", "/./", "/../", "%2f", "%2F")
            if part in text
        ]
    elif text and not text.startswith("/"):
        causes.append(wrong(f"{where}.path", text, _ABSOLUTE))
    return causes + _backend_causes(path.get("backend") or {}, f"{where}.backend")


def _backend_causes(backend: Object, where: str) -> list[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [wrong(where, "", "cannot set both resource and service backends")]
    if resource is not None:
        return []
    if service is None:
        return [required(where, "must specify a service or resource")]
    causes: list[Cause] = []
    if not service.get("name"):
        causes.append(required(f"{where}.service.name"))
    else:
        causes += name_causes(service["name"], "label1035", f"{where}.service.name")
    port = service.get("port") or {}
    name, number = port.get("name", ""), port.get("number", 0)
    if name and number:
        causes.append(wrong(f"{where}.service.port", port, "cannot set both port name & port number"))
    elif name:
        causes += port_causes(name, f"{where}.service.port.name")
    elif number:
        causes += port_causes(number, f"{where}.service.port.number")
    else:
        causes.append(required(f"{where}.service.port", "port name or number is required"))
    return causes


ACCESS_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]


class ClaimKind(Kind):
    """PersistentVolumeClaims."""

    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
        obj.setdefault("status", {}).setdefault("phase", "Pending")

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"phase": "Pending"}

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes: list[Cause] = []
        modes: list[Any] = spec.get("accessModes") or []
        if not modes:
            causes.append(required("spec.accessModes", "at least 1 access mode is required"))
        causes += [unsupported("spec.accessModes", mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
        storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        if storage is None:
            causes.append(required("spec.resources[storage]"))
        elif quantities.parse(storage) <= 0:
            causes.append(wrong("spec.resources[storage]", storage, "must be greater than zero"))
        limit = ((spec.get("resources") or {}).get("limits") or {}).get("storage")
        if storage and limit and quantities.parse(storage) > quantities.parse(limit):
            message = f"must be less than or equal to storage limit of {limit}"
            causes.append(wrong("spec.resources.requests", storage, message))
        if "ReadWriteOncePod" in modes and len(modes) > 1:
            message = "Forbidden: may not use ReadWriteOncePod with other access modes"
            causes.append(Cause("FieldValueForbidden", message, "spec.accessModes"))
        if spec.get("storageClassName"):
            causes += name_causes(spec["storageClassName"], "subdomain", "spec.storageClassName")
        if spec["volumeMode"] not in ("Block", "Filesystem"):
            causes.append(unsupported("spec.volumeMode", spec["volumeMode"], ["Block", "Filesystem"]))
        if old is not None and _fixed(spec) != _fixed(old["spec"]):
            message = (
                "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName "
                "for bound claims"
            )
            causes.append(Cause("FieldValueForbidden", message, "spec"))
        return causes


_CHANGEABLE = ("resources", "volumeAttributesClassName", "volumeName")


def _fixed(spec: Object) -> Object:
    return {key: value for key, value in spec.items() if key not in _CHANGEABLE}
