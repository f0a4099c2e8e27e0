"""The small kinds of the core group and its neighbours."""

from __future__ import annotations

import base64
import re

from ..errors import Cause
from ..store import Object
from .base import Kind, required, unsupported, wrong

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
        return _data_causes(obj, "data", "binaryData") + _immutable_data(obj, old, "data", "binaryData")


class SecretKind(Kind):
    def default(self, obj: Object) -> None:
        for key, value in (obj.pop("stringData", None) or {}).items():
            obj.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()
        obj.setdefault("type", "Opaque")

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = _data_causes(obj, "data")
        if obj["type"] == "kubernetes.io/tls":
            causes += [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in (obj.get("data") or {})]
        if old is not None and obj["type"] != old["type"]:
            causes.append(wrong("type", obj["type"], "field is immutable"))
        return causes + _immutable_data(obj, old, "data")


class NodeKind(Kind):
    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})
        obj.setdefault("status", {})


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
        if obj.get("addressType") not in ("IPv4", "IPv6", "FQDN"):
            return [unsupported("addressType", obj.get("addressType", ""), ["FQDN", "IPv4", "IPv6"])]
        return []


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
