# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a container is given at its start: environment and files, from ConfigMaps, Secrets and the pod itself."""

from __future__ import annotations

import base64
import re

from .. import resources
from ..network.containers import Mount
from ..selectors import labels_of
from ..store import Object, Store

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class MissingError(Exception):
    """Something that a container refers to is not there: CreateContainerConfigError."""


def environment(store: Store, pod: Object, container: Object, ip: str) -> dict[str, str]:
    """The environment of a container. Raises MissingError."""
    namespace = pod["metadata"]["namespace"]
    found: dict[str, str] = {}
    if pod["spec"].get("enableServiceLinks", True):
        found.update(service_links(store.list(resources.SERVICES, namespace)))
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        for key, data in _whole(store, namespace, source).items():
            found[prefix + key] = data.decode(errors="replace")
    for variable in container.get("env") or ():
        if "valueFrom" in variable:
            value = _from(store, pod, container, variable["valueFrom"], ip)
            if value is not None:
                found[variable["name"]] = value
        else:
            found[variable["name"]] = expand(variable.get("value", ""), found)
    return found


def expand(text: str, known: dict[str, str]) -> str:
    """`$(NAME)` replaced by what is known; `$$` is a dollar sign, an unknown name stays as it is."""

    def replace(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return known.get(match.group(1), match.group(0))

    return _REFERENCE.sub(replace, text)


def service_links(services: list[Object]) -> dict[str, str]:
    """`HELLO_SERVICE_HOST` and `HELLO_SERVICE_PORT` of each Service of the namespace."""
    found = {}
    for service in services:
        address = service["spec"].get("clusterIP")
        ports = service["spec"].get("ports") or []
        if not address or address == "None" or not ports:
            continue
        name = service["metadata"]["name"].upper().replace("-", "_")
        found[f"{name}_SERVICE_HOST"] = address
        found[f"{name}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                found[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    return found


def _data(obj: Object) -> dict[str, bytes]:
    """The data of a ConfigMap or a Secret as bytes."""
    if obj["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    found = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
    found |= {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}
    return found


def _object(store: Store, namespace: str, kind: str, reference: Object) -> Object | None:
    resource = resources.SECRETS if kind == "secret" else resources.CONFIGMAPS
    found = store.get(resource, namespace, reference["name"])
    if found is None and not reference.get("optional"):
        raise MissingError(f'{kind} "{reference["name"]}" not found')
    return found


def _whole(store: Store, namespace: str, source: Object) -> dict[str, bytes]:
    for field, kind in (("secretRef", "secret"), ("configMapRef", "configmap")):
        if field in source:
            obj = _object(store, namespace, kind, source[field])
            return _data(obj) if obj else {}
    return {}


def _from(store: Store, pod: Object, container: Object, source: Object, ip: str) -> str | None:
    namespace = pod["metadata"]["namespace"]
    for field, kind, title in (
        ("secretKeyRef", "secret", "Secret"),
        ("configMapKeyRef", "configmap", "ConfigMap"),
    ):
        if field in source:
            reference = source[field]
            obj = _object(store, namespace, kind, reference)
            data = _data(obj) if obj else {}
            if reference["key"] in data:
                return data[reference["key"]].decode(errors="replace")
            if reference.get("optional"):
                return None
            raise MissingError(f"couldn't find key {reference['key']} in {title} {namespace}/{reference['name']}")
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"], ip)
    if "resourceFieldRef" in source:
        kind, _, name = source["resourceFieldRef"]["resource"].partition(".")
        return str(((container.get("resources") or {}).get(kind) or {}).get(name, "0"))
    return None


def _field(pod: Object, path: str, ip: str) -> str:
    meta = pod["metadata"]
    match = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if match:
        return str((meta.get(match.group(1)) or {}).get(match.group(2), ""))
    known = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.podIP": ip,
        "status.hostIP": pod["status"].get("hostIP", ""),
        "metadata.labels": "\n".join(f'{k}="{v}"' for k, v in sorted(labels_of(pod).items())),
    }
    return str(known.get(path, ""))


def volumes(store: Store, pod: Object, ip: str) -> dict[str, dict[str, bytes]]:
    """The files of each volume, by volume name. Raises MissingError, with the volume's name first."""
    namespace = pod["metadata"]["namespace"]
    found: dict[str, dict[str, bytes]] = {}
    for volume in pod["spec"].get("volumes") or ():
        name = volume["name"]
        try:
            if "projected" in volume:
                files: dict[str, bytes] = {}
                for source in volume["projected"].get("sources") or ():
                    # The token's own projection may lack a CA that this cluster does not publish.
                    files |= _source(store, pod, source, namespace, ip, lenient=name.startswith("kube-api-access-"))
                found[name] = files
            else:
                found[name] = _source(store, pod, volume, namespace, ip)
        except MissingError as missing:
            raise MissingError(f'MountVolume.SetUp failed for volume "{name}" : {missing}') from None
    return found


def _source(
    store: Store, pod: Object, source: Object, namespace: str, ip: str, *, lenient: bool = False
) -> dict[str, bytes]:
    for field, kind, key in (("secret", "secret", "secretName"), ("configMap", "configmap", "name")):
        if field not in source:
            continue
        reference = source[field]
        name = reference.get(key) or reference.get("name", "")
        optional = reference.get("optional", False) or lenient
        obj = _object(store, namespace, kind, {"name": name, "optional": optional})
        return _items(_data(obj) if obj else {}, reference, optional=optional)
    if "downwardAPI" in source:
        return {
            item["path"]: _field(pod, item["fieldRef"]["fieldPath"], ip).encode()
            for item in source["downwardAPI"].get("items") or ()
            if "fieldRef" in item
        }
    if "serviceAccountToken" in source:
        return {source["serviceAccountToken"]["path"]: b"sandbox"}
    return {}


def _items(data: dict[str, bytes], reference: Object, *, optional: bool) -> dict[str, bytes]:
    items = reference.get("items")
    if not items:
        return data
    found = {}
    for item in items:
        if item["key"] in data:
            found[item["path"]] = data[item["key"]]
        elif not optional:
            raise MissingError(f"references non-existent config key: {item['key']}")
    return found


def mounts(container: Object, files: dict[str, dict[str, bytes]]) -> list[Mount]:
    """The volumes as a container sees them."""
    found = []
    for mount in container.get("volumeMounts") or ():
        content = files.get(mount["name"], {})
        if mount.get("subPath"):
            part = mount["subPath"]
            if part in content:
                found.append(Mount(mount["mountPath"], {"": content[part]}))
                continue
            content = {k[len(part) + 1 :]: v for k, v in content.items() if k.startswith(part + "/")}
        found.append(Mount(mount["mountPath"], content))
    return found
