# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services: defaults, the addresses they are given, validation."""

from __future__ import annotations

import ipaddress
from typing import Any

from ..errors import Cause
from ..store import Object
from .base import Kind, duplicate, is_address, required, unsupported, wrong
from .metadata import key_causes, label_causes, name_causes, port_causes

_TYPES = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
#: Seconds: a day.
_LONGEST_AFFINITY = 86400
#: What only Services that are reached from outside have.
_EXTERNAL = ("externalTrafficPolicy", "allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort")


def has_node_ports(spec: dict[str, Any]) -> bool:
    """Whether a Service's ports get node ports."""
    return spec["type"] == "NodePort" or (
        spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)
    )


class ServiceKind(Kind):
    name_rule = "label1035"

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        addresses = spec.get("clusterIPs") or ()
        if addresses and not spec.get("clusterIP"):
            spec["clusterIP"] = addresses[0]
        if spec["sessionAffinity"] == "ClientIP":
            client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
            client.setdefault("timeoutSeconds", 10800)
        else:
            spec.pop("sessionAffinityConfig", None)
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            if not port.get("targetPort"):
                port["targetPort"] = port.get("port")
        if spec["type"] != "ExternalName":
            spec.setdefault("internalTrafficPolicy", "Cluster")
        if spec["type"] in ("NodePort", "LoadBalancer"):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if spec["type"] == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
        obj.setdefault("status", {}).setdefault("loadBalancer", {})

    def prepare_update(self, obj: Object, old: Object) -> None:
        """Keep what was allocated; drop what the new type does not have."""
        spec, before = obj["spec"], old["spec"]
        if spec["type"] != "ExternalName":
            for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if key in before:
                    spec.setdefault(key, before[key])
        else:
            for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
                spec.pop(key, None)
        if spec["type"] not in ("NodePort", "LoadBalancer"):
            for key in _EXTERNAL:
                spec.pop(key, None)
        if spec["type"] != "LoadBalancer":
            for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort"):
                spec.pop(key, None)
        elif spec.get("externalTrafficPolicy") != "Local":
            spec.pop("healthCheckNodePort", None)
        if has_node_ports(spec):
            known = {(port.get("protocol"), port["port"]): port.get("nodePort") for port in before.get("ports", ())}
            for port in spec.get("ports") or ():
                node_port = known.get((port.get("protocol"), port.get("port")))
                if node_port:
                    port.setdefault("nodePort", node_port)
        elif has_node_ports(before):
            kept = {port.get("nodePort") for port in before.get("ports") or ()}
            for port in spec.get("ports") or ():
                if port.get("nodePort") in kept:
                    port.pop("nodePort", None)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes: list[Cause] = []
        if not spec.get("ports") and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
            causes.append(required("spec.ports"))
        causes += _validate_ports(spec.get("ports") or [])
        causes += label_causes(spec.get("selector") or {}, "spec.selector")
        if spec["sessionAffinity"] not in ("ClientIP", "None"):
            causes.append(unsupported("spec.sessionAffinity", spec["sessionAffinity"], ["ClientIP", "None"]))
        timeout = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds", 1)
        if not 0 < timeout <= _LONGEST_AFFINITY:
            causes.append(
                wrong(
                    "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
                    timeout,
                    f"must be greater than 0 and less than {_LONGEST_AFFINITY}",
                )
            )
        if spec["type"] not in _TYPES:
            causes.append(unsupported("spec.type", spec["type"], _TYPES))
        if spec["type"] == "ExternalName" and not spec.get("externalName"):
            causes.append(required("spec.externalName"))
        if spec["type"] in ("ClusterIP", "ExternalName"):
            message = f"Forbidden: may not be used when `type` is '{spec['type']}'"
            causes += [
                Cause("FieldValueForbidden", message, f"spec.ports[{index}].nodePort")
                for index, port in enumerate(spec.get("ports") or ())
                if port.get("nodePort")
            ]
        causes += _address_causes(spec)
        causes += _type_causes(spec)
        if old is not None and "ExternalName" not in (spec["type"], old["spec"]["type"]):
            before = old["spec"].get("clusterIP")
            if before and spec.get("clusterIP") != before:
                causes = [cause for cause in causes if not cause.field.startswith("spec.clusterIPs")]
                causes.append(wrong("spec.clusterIPs[0]", [spec.get("clusterIP")], "may not change once set"))
        return causes


_POLICIES = ["Cluster", "Local"]
_FAMILIES = ["PreferDualStack", "RequireDualStack", "SingleStack"]
_DISTRIBUTIONS = ["PreferClose", "PreferSameNode", "PreferSameZone"]


def _type_causes(spec: dict[str, Any]) -> list[Cause]:
    """What is wrong with what only Services of some types may have, and with which families of addresses they want."""
    causes: list[Cause] = []
    if spec["type"] == "ExternalName" and spec.get("externalName"):
        causes += name_causes(spec["externalName"].rstrip("."), "subdomain", "spec.externalName")
    if spec["type"] != "LoadBalancer":
        message = "Forbidden: may only be used when `type` is 'LoadBalancer'"
        causes += [
            Cause("FieldValueForbidden", message, f"spec.{key}")
            for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass", "loadBalancerSourceRanges")
            if spec.get(key) is not None
        ]
    local = spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"
    if spec.get("healthCheckNodePort") and not local:
        message = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        causes.append(wrong("spec.healthCheckNodePort", spec["healthCheckNodePort"], message))
    if spec["sessionAffinity"] == "None" and spec.get("sessionAffinityConfig"):
        message = "Forbidden: must not be set when session affinity is None"
        causes.append(Cause("FieldValueForbidden", message, "spec.sessionAffinityConfig"))
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in _FAMILIES:
        causes.append(unsupported("spec.ipFamilyPolicy", policy, _FAMILIES))
    elif policy == "RequireDualStack":
        message = "this cluster is not configured for dual-stack services"
        causes.append(wrong("spec.ipFamilyPolicy", policy, message))
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family == "IPv6":
            message = "not configured on this cluster"
            causes.append(wrong(f"spec.ipFamilies[{index}]", family, message))
        elif family != "IPv4":
            causes.append(unsupported(f"spec.ipFamilies[{index}]", family, ["IPv4", "IPv6"]))
    addresses = spec.get("clusterIPs") or ()
    if addresses and spec.get("clusterIP") and addresses[0] != spec["clusterIP"]:
        causes.append(wrong("spec.clusterIPs", list(addresses), "first value must match `clusterIP`"))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        causes.append(unsupported("spec.trafficDistribution", distribution, _DISTRIBUTIONS))
    for index, port in enumerate(spec.get("ports") or ()):
        if port.get("appProtocol"):
            causes += key_causes(port["appProtocol"], f"spec.ports[{index}].appProtocol")
    return causes


def _address_causes(spec: dict[str, Any]) -> list[Cause]:
    """What is wrong with a Service's addresses, and with which traffic it takes from where."""
    causes: list[Cause] = []
    address = spec.get("clusterIP")
    if address == "None" and spec["type"] in ("NodePort", "LoadBalancer"):
        causes.append(wrong("spec.clusterIPs[0]", "None", "may not be set to 'None' for LoadBalancer services"))
    elif address and address != "None" and not is_address(address):
        message = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        causes.append(wrong("spec.clusterIPs[0]", address, message))
    for key in ("internalTrafficPolicy", "externalTrafficPolicy"):
        if spec.get(key) is not None and spec[key] not in _POLICIES:
            causes.append(unsupported(f"spec.{key}", spec[key], _POLICIES))
    if spec["type"] in ("ClusterIP", "ExternalName") and spec.get("externalTrafficPolicy"):
        message = "may only be set for externally-accessible services"
        causes.append(wrong("spec.externalTrafficPolicy", spec["externalTrafficPolicy"], message))
    for index, outside in enumerate(spec.get("externalIPs") or ()):
        if not is_address(outside):
            message = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            causes.append(wrong(f"spec.externalIPs[{index}]", outside, message))
        elif ipaddress.ip_address(outside).is_loopback:
            message = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
            causes.append(wrong(f"spec.externalIPs[{index}]", outside, message))
    for index, network in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        try:
            ipaddress.ip_network(network.strip(), strict=False)
        except ValueError:
            message = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            causes.append(wrong(f"spec.loadBalancerSourceRanges[{index}]", network, message))
    return causes


def _validate_ports(ports: list[dict[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    names: set[str] = set()
    numbers: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        field = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            causes.append(required(f"{field}.name"))
        elif name:
            causes += name_causes(name, "label", f"{field}.name")
            if name in names:
                causes.append(duplicate(f"{field}.name", name))
            names.add(name)
        number = port.get("port", 0)
        if not 0 < number < 65536:
            causes.append(wrong(f"{field}.port", number, "must be between 1 and 65535, inclusive"))
        target = port.get("targetPort")
        if target is not None:
            causes += port_causes(target, f"{field}.targetPort")
        if port["protocol"] not in ("SCTP", "TCP", "UDP"):
            causes.append(unsupported(f"{field}.protocol", port["protocol"], ["SCTP", "TCP", "UDP"]))
        if (port["protocol"], number) in numbers:
            # Go writes out the whole of the key that it compares by.
            key = {"Name": "", "Protocol": port["protocol"], "AppProtocol": None, "Port": number}
            causes.append(duplicate(field, {**key, "TargetPort": 0, "NodePort": 0}))
        numbers.add((port["protocol"], number))
    return causes
