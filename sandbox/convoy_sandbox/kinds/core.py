# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The small kinds of the core group and its neighbours."""

from __future__ import annotations

import base64
import ipaddress
import json
import re

from ..errors import Cause
from ..store import Object
from .base import Kind, duplicate, required, unsupported, wrong
from .metadata import key_causes, port_causes
from .pods import default_spec, validate_template

_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_DATA_KEY_MESSAGE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def _data_causes(obj: Object, *fields: str) -> list[Cause]:
    return [
        wrong(f"{field}[{key}]", key, _DATA_KEY_MESSAGE)
        for field in fields
        for key in obj.get(field) or {}
        if not _DATA_KEY.fullmatch(key)
    ]


_LARGEST = 1024 * 1024  #: bytes of all values together


def _size_causes(obj: Object, field: str, *, encoded: tuple[str, ...] = ()) -> list[Cause]:
    """Whether all values of an object are too large together."""
    size = 0
    for key in ("data", "binaryData"):
        for value in (obj.get(key) or {}).values():
            size += len(value) * 3 // 4 if key in encoded else len(value.encode())
    message = f"Too long: may not be more than {_LARGEST} bytes"
    return [Cause("FieldValueTooLong", message, field)] if size > _LARGEST else []


def _immutable_data(obj: Object, old: Object | None, *fields: str) -> list[Cause]:
    if old is None or not old.get("immutable"):
        return []
    message = "Forbidden: field is immutable when `immutable` is set"
    causes = [] if obj.get("immutable") else [Cause("FieldValueForbidden", message, "immutable")]
    return causes + [
        Cause("FieldValueForbidden", message, field) for field in fields if obj.get(field) != old.get(field)
    ]


class NamespaceKind(Kind):
    name_rule = "label"
    deletion_counts = False

    def default(self, obj: Object) -> None:
        labels = obj["metadata"].setdefault("labels", {})
        if obj["metadata"].get("name"):
            labels["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
        obj.setdefault("spec", {})
        obj.setdefault("status", {}).setdefault("phase", "Active")

    def prepare_create(self, obj: Object) -> None:
        obj["spec"]["finalizers"] = ["kubernetes"]


class ConfigMapKind(Kind):
    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = _data_causes(obj, "data", "binaryData")
        causes += [
            wrong(f"data[{key}]", key, "duplicate of key present in binaryData")
            for key in obj.get("data") or {}
            if key in (obj.get("binaryData") or {})
        ]
        causes += _size_causes(obj, "", encoded=("binaryData",))
        return causes + _immutable_data(obj, old, "data", "binaryData")


#: What Secrets of some types must have, and which of it is JSON.
_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_DOCUMENTS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}


def _is_json(encoded: str) -> bool:
    try:
        return isinstance(json.loads(base64.b64decode(encoded)), dict)
    except ValueError:
        return False


class SecretKind(Kind):
    def default(self, obj: Object) -> None:
        for key, value in (obj.pop("stringData", None) or {}).items():
            obj.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()
        obj.setdefault("type", "Opaque")

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = _data_causes(obj, "data") + _size_causes(obj, "data", encoded=("data",))
        data = obj.get("data") or {}
        causes += [required(f"data[{key}]") for key in _NEEDED.get(obj["type"], ()) if key not in data]
        document = _DOCUMENTS.get(obj["type"])
        if document in data and not _is_json(data[document]):
            causes.append(wrong(f"data[{document}]", "<secret contents redacted>", "invalid character in JSON"))
        if obj["type"] == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
            causes += [required(f"data[{key}]") for key in ("username", "password")]
        account = "kubernetes.io/service-account.name"
        named = (obj["metadata"].get("annotations") or {}).get(account)
        if obj["type"] == "kubernetes.io/service-account-token" and not named:
            causes.append(required(f"metadata.annotations[{account}]"))
        if old is not None and obj["type"] != old["type"]:
            causes.append(wrong("type", obj["type"], "field is immutable"))
        return causes + _immutable_data(obj, old, "data")


class NodeKind(Kind):
    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})
        obj.setdefault("status", {})

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes: list[Cause] = []
        seen: set[tuple[str, str]] = set()
        for index, taint in enumerate(obj["spec"].get("taints") or ()):
            where, key = f"spec.taints[{index}]", (taint.get("key", ""), taint.get("effect", ""))
            causes += key_causes(key[0], f"{where}.key")
            if key[1] not in _EFFECTS:
                causes.append(unsupported(f"{where}.effect", key[1], _EFFECTS))
            if key in seen:
                causes.append(duplicate(where, {"key": key[0], "effect": key[1]}))
            seen.add(key)
        return causes


_EFFECTS = ["NoExecute", "NoSchedule", "PreferNoSchedule"]


class PodTemplateKind(Kind):
    has_generation = True

    def default(self, obj: Object) -> None:
        default_spec(obj.setdefault("template", {}).setdefault("spec", {}))

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        return validate_template(obj["template"], "template")


class ReplicationControllerKind(Kind):
    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        template = spec.setdefault("template", {})
        default_spec(template.setdefault("spec", {}))
        labels = (template.get("metadata") or {}).get("labels") or {}
        if labels:
            spec.setdefault("selector", dict(labels))
            obj["metadata"].setdefault("labels", dict(labels))
        obj.setdefault("status", {}).setdefault("replicas", 0)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        labels = (spec["template"].get("metadata") or {}).get("labels") or {}
        causes = validate_template(spec["template"], "spec.template")
        if spec["replicas"] < 0:
            causes.append(wrong("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
        if not spec.get("selector"):
            causes.append(required("spec.selector"))
        elif not spec["selector"].items() <= labels.items():
            message = "`selector` does not match template `labels`"
            causes.append(wrong("spec.template.metadata.labels", labels, message))
        return causes


class EventKind(Kind):
    def default(self, obj: Object) -> None:
        obj.setdefault("source", {})
        # Go writes these three out even where they are not set.
        for key in ("firstTimestamp", "lastTimestamp", "eventTime"):
            obj.setdefault(key, None)
        obj.setdefault("reportingComponent", "")
        obj.setdefault("reportingInstance", "")

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        involved = (obj.get("involvedObject") or {}).get("namespace", "")
        if involved and involved != obj["metadata"].get("namespace"):
            return [wrong("involvedObject.namespace", involved, "does not match event.namespace")]
        return []


class EndpointSliceKind(Kind):
    has_generation = True

    def default(self, obj: Object) -> None:
        obj.setdefault("endpoints", None)
        obj.setdefault("ports", None)
        for port in obj["ports"] or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        kind = obj.get("addressType")
        if kind not in ("IPv4", "IPv6", "FQDN"):
            return [unsupported("addressType", kind or "", ["FQDN", "IPv4", "IPv6"])]
        causes: list[Cause] = []
        if old is not None and kind != old.get("addressType"):
            causes.append(wrong("addressType", kind, "field is immutable"))
        for index, endpoint in enumerate(obj["endpoints"] or ()):
            where = f"endpoints[{index}].addresses"
            if not endpoint.get("addresses"):
                causes.append(required(where, "must contain at least 1 address"))
            for at, address in enumerate(endpoint.get("addresses") or () if kind != "FQDN" else ()):
                causes += address_causes(address, f"{where}[{at}]")
        for index, port in enumerate(obj["ports"] or ()):
            if port["protocol"] not in _PROTOCOLS:
                causes.append(unsupported(f"ports[{index}].protocol", port["protocol"], _PROTOCOLS))
        return causes


_PROTOCOLS = ["SCTP", "TCP", "UDP"]


def address_causes(address: str, field: str) -> list[Cause]:
    """What is wrong with the address of an endpoint."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return [wrong(field, address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    if found.is_unspecified:
        return [wrong(field, address, f"may not be unspecified ({address})")]
    return []


class EndpointsKind(Kind):
    def default(self, obj: Object) -> None:
        for subset in obj.get("subsets") or ():
            for port in subset.get("ports") or ():
                port.setdefault("protocol", "TCP")

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes: list[Cause] = []
        for index, subset in enumerate(obj.get("subsets") or ()):
            where = f"subsets[{index}]"
            if not subset.get("addresses") and not subset.get("notReadyAddresses"):
                causes.append(required(where, "must specify `addresses` or `notReadyAddresses`"))
            for key in ("addresses", "notReadyAddresses"):
                for at, address in enumerate(subset.get(key) or ()):
                    causes += address_causes(address.get("ip", ""), f"{where}.{key}[{at}].ip")
            ports = subset.get("ports") or ()
            for at, port in enumerate(ports):
                if len(ports) > 1 and not port.get("name"):
                    causes.append(required(f"{where}.ports[{at}].name"))
                causes += port_causes(port.get("port", 0), f"{where}.ports[{at}].port")
                if port["protocol"] not in _PROTOCOLS:
                    causes.append(unsupported(f"{where}.ports[{at}].protocol", port["protocol"], _PROTOCOLS))
        return causes


_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")


class LeaseKind(Kind):
    created_by_update = True
    unconditional_update = False

    def decode(self, obj: Object) -> str:
        for key in ("acquireTime", "renewTime"):
            value = (obj.get("spec") or {}).get(key)
            if value is not None and not _MICRO_TIME.fullmatch(str(value)):
                form = "2006-01-02T15:04:05.000000Z07:00"
                at = re.match(r"[-\d:T]{0,19}", str(value))
                rest = str(value)[at.end() if at else 0 :]
                expected = ".000000" if len(str(value)) - len(rest) == 19 else "2006"
                return f'parsing time "{value}" as "{form}": cannot parse "{rest}" as "{expected}"'
        return ""

    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        duration = obj["spec"].get("leaseDurationSeconds")
        causes = []
        if duration is not None and duration <= 0:
            causes.append(wrong("spec.leaseDurationSeconds", duration, "must be greater than 0"))
        transitions = obj["spec"].get("leaseTransitions")
        if transitions is not None and transitions < 0:
            causes.append(wrong("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
        return causes
