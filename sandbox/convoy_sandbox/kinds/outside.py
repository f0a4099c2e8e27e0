"""Ingresses and claims of storage: what others act upon, checked as the API server checks it."""

from __future__ import annotations

from typing import Any

from .. import quantities
from ..errors import Cause
from ..store import Object
from .base import Kind, required, unsupported, wrong
from .metadata import SUBDOMAIN, name_causes, port_causes

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
            if host and not SUBDOMAIN.fullmatch(host.removeprefix("*.")):
                causes += name_causes(host, "subdomain", f"{where}.host")
            http = rule.get("http")
            if http is not None and not http.get("paths"):
                causes.append(required(f"{where}.http.paths"))
            for at, path in enumerate((http or {}).get("paths") or ()):
                causes += _path_causes(path, f"{where}.http.paths[{at}]")
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


_ACCESS_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]


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
        causes += [unsupported("spec.accessModes", mode, _ACCESS_MODES) for mode in modes if mode not in _ACCESS_MODES]
        storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        if storage is None:
            causes.append(required("spec.resources[storage]"))
        elif quantities.parse(storage) <= 0:
            causes.append(wrong("spec.resources[storage]", storage, "must be greater than zero"))
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
