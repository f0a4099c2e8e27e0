# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the tables of the sandbox that are facts about Kubernetes: discovery.json and protobuf.json.

    python generate.py discovery CLUSTER     the URL of an API server (`kubectl proxy` makes one), or a folder of its
                                             answers: api.json, apis.json, api/v1.json, apis/apps/v1.json ...
    python generate.py protobuf SOURCE...    the `generated.proto` files of k8s.io/api and k8s.io/apimachinery: folders,
                                             or .tar.gz archives by path or URL

Taken over are names, numbers and types of fields, no comments.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from convoy_sandbox import schema
from convoy_sandbox.resources import RESOURCES

_PACKAGE = Path(__file__).with_name("convoy_sandbox")
_META = "k8s.io.apimachinery.pkg.apis.meta.v1"
_FIELD = re.compile(r"^\s*(optional|required|repeated|map<string,)\s*([\w.]+)>?\s+(\w+)\s*=\s*(\d+)\s*(?:\[[^]]*\])?;")
_SCALARS = {
    "string": "string", "bytes": "bytes", "bool": "bool", "double": "double",
    "int32": "int", "int64": "int", "uint32": "int", "uint64": "int",
}  # fmt: skip
#: Types whose JSON is no object of their fields.
_SPECIAL = {
    f"{_META}.Time": "time", f"{_META}.MicroTime": "microtime", f"{_META}.FieldsV1": "fieldsv1",
    f"{_META}.Duration": "duration",
    "k8s.io.apimachinery.pkg.api.resource.Quantity": "quantity",
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": "intorstring",
    "k8s.io.apimachinery.pkg.runtime.RawExtension": "raw",
}  # fmt: skip
#: Kinds that are sent to subresources, or with a deletion.
_BESIDES = {
    "policy/v1 Eviction": "k8s.io.api.policy.v1.Eviction",
    "autoscaling/v1 Scale": "k8s.io.api.autoscaling.v1.Scale",
    "authentication.k8s.io/v1 TokenRequest": "k8s.io.api.authentication.v1.TokenRequest",
    "DeleteOptions": f"{_META}.DeleteOptions",
}

Message = dict[str, tuple[str, str]]


def protos(source: str) -> Iterator[str]:
    """The texts of the proto files in a folder, or in an archive at a path or URL."""
    if Path(source).is_dir():
        yield from (path.read_text() for path in sorted(Path(source).rglob("generated.proto")))
        return
    with tarfile.open(fileobj=io.BytesIO(_read(source))) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            file = archive.extractfile(member) if member.name.endswith("/generated.proto") else None
            if file is not None:
                yield file.read().decode()


def _read(source: str, accept: str = "*/*") -> bytes:
    """What a path or a URL holds."""
    if "://" not in source:
        return Path(source).read_bytes()
    with urllib.request.urlopen(urllib.request.Request(source, headers={"Accept": accept})) as answer:  # noqa: S310
        found: bytes = answer.read()
        return found


def messages(texts: Iterable[str]) -> dict[str, Message]:
    """Every message of proto files: the fields by number, as their names and types."""
    found: dict[str, Message] = {}
    for text in texts:
        package, current = "", None
        for line in text.splitlines():
            if line.startswith("package "):
                package = line.split()[1].rstrip(";")
            elif line.startswith("message "):
                current = f"{package}.{line.split()[1]}"
                found[current] = {}
            elif line.startswith("}"):
                current = None
            elif current and (match := _FIELD.match(line)):
                label, type_, name, number = match.groups()
                prefix = {"map<string,": "{}", "repeated": "[]"}.get(label, "")
                found[current][number] = (name, prefix + _type(type_, package))
    return found


def _type(name: str, package: str) -> str:
    if name in _SCALARS:
        return _SCALARS[name]
    full = name.removeprefix(".") if name.startswith(".") else f"{package}.{name}"
    return _SPECIAL.get(full, full)


def _properties(message: str) -> dict[str, Any] | None:
    """What the schema says of the JSON of a message; None where it says nothing."""
    name = message.replace("k8s.io.", "io.k8s.", 1)
    node = schema.definitions().get(name)
    return None if node is None else node.get("properties")


def table(found: dict[str, Message]) -> dict[str, Any]:
    """The messages of all kinds that are served and whatever they are made of."""
    kinds = dict(_BESIDES)
    for resource in RESOURCES.values():
        group = resource.group.partition(".")[0] or "core"
        message = f"k8s.io.api.{group}.{resource.version}.{resource.kind}"
        if message in found:
            kinds[f"{resource.api_version} {resource.kind}"] = message
    wanted: dict[str, dict[str, list[str]]] = {}
    queue = list(kinds.values())
    while queue:
        message = queue.pop()
        if message in wanted or message not in found:
            continue
        properties = _properties(message)
        fields: dict[str, list[str]] = {}
        for number, (name, type_) in found[message].items():
            plain = type_.lstrip("[]{}")
            shown = _json_name(name, plain, properties, found)
            if shown is None:  # a field of a newer version
                continue
            if plain.endswith(".ExtraValue"):  # a list of texts in a message of its own
                type_ = type_.replace(plain, "strings")
            fields[number] = [shown, type_]
            queue.append(plain)
        wanted[message] = fields
    return {"kinds": dict(sorted(kinds.items())), "messages": dict(sorted(wanted.items()))}


def _json_name(name: str, type_: str, properties: dict[str, Any] | None, found: dict[str, Message]) -> str | None:
    """What a field is called in JSON: "" where its own fields stand in its place, None where JSON has no such field."""
    if properties is None:
        return name
    same = next((each for each in properties if each.lower() == name.lower()), None)
    if same is not None:
        return same
    inner = found.get(type_, {})
    known = {each.lower() for each in properties}
    embedded = all(field.lower() in known or kind in found for field, kind in inner.values())
    return "" if inner and embedded else None


#: How an API server is asked for all resources of all groups at once.
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def discovery(cluster: str) -> dict[str, Any]:
    """The resources of a cluster in the sandbox's form."""
    entries = []
    for root in ("api", "apis"):
        for item in _answer(cluster, root, _AGGREGATED)["items"]:
            name = item["metadata"].get("name", "")
            versions = []
            for version in item["versions"]:
                path = "/".join(part for part in (root, name, version["version"]) if part)
                hashes = {
                    each["name"]: each.get("storageVersionHash")
                    for each in _answer(cluster, path, "application/json")["resources"]
                }
                kept = [_resource(each, hashes.get(each["resource"])) for each in version["resources"]]
                versions.append({"version": version["version"], "resources": kept})
            entries.append({"name": name, "versions": versions})
    return {"groups": entries}


def _answer(cluster: str, path: str, accept: str) -> Any:
    return json.loads(_read(f"{cluster.rstrip('/')}/{path}" + ("" if "://" in cluster else ".json"), accept))


def _resource(entry: Any, storage: str | None) -> dict[str, Any]:
    kept = {
        "resource": entry["resource"],
        "kind": entry["responseKind"]["kind"],
        "namespaced": entry["scope"] == "Namespaced",
        "singular": entry["singularResource"],
        "verbs": entry["verbs"],
    }
    for key in ("shortNames", "categories", "subresources"):
        if key in entry:
            kept[key] = entry[key]
    if storage:
        kept["storageVersionHash"] = storage
    return kept


def main(what: str, *sources: str) -> None:
    """Write one of the tables."""
    if what == "protobuf":
        found = table(messages(text for source in sources for text in protos(source)))
        text = json.dumps(found, separators=(",", ":"), sort_keys=True)
    else:
        text = json.dumps(discovery(*sources), indent=1)
    (_PACKAGE / f"{what}.json").write_text(text + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("discovery", "protobuf"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
