# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenAPI v3: the documents that `kubectl explain` and `kubectl apply` read."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from .. import schema
from ..resources import Catalog, Resource

Document = dict[str, Any]

_KINDS = "x-kubernetes-group-version-kind"
#: Documents that describe no resources.
_OTHERS = (".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version")
_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "pretty")
]


def group_versions(catalog: Catalog) -> list[str]:
    """`api/v1`, `apis/apps/v1`, ...: what there is a document for."""
    served = [resource for resource in catalog.all() if resource.custom is None or resource.custom.served]
    groups = {f"apis/{resource.group}" for resource in served if resource.group and resource.custom is None}
    return sorted({*_OTHERS, *groups, *map(_path, served)})


def _path(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def index(catalog: Catalog) -> Document:
    """GET /openapi/v3."""
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_digest(path, catalog)}"}
            for path in group_versions(catalog)
        }
    }


def _digest(path: str, catalog: Catalog) -> str:
    """What a document is cached by: another one as soon as a definition changes what is in it."""
    custom = [resource.custom for resource in _members(path, catalog) if resource.custom is not None]
    text = f"{schema.VERSION} {path} " + "".join(json.dumps(each.schema, sort_keys=True) for each in custom)
    return hashlib.sha512(text.encode()).hexdigest().upper()


def _members(path: str, catalog: Catalog) -> list[Resource]:
    return [
        resource
        for resource in catalog.all()
        if _path(resource) == path and (resource.custom is None or resource.custom.served)
    ]


def document(path: str, catalog: Catalog) -> bytes | None:
    """GET /openapi/v3/PATH as JSON text, or None where there is no such group and version."""
    if path not in group_versions(catalog):
        return None
    members = _members(path, catalog)
    return _document(path, members) if any(each.custom for each in members) else _builtin(path)


@lru_cache(maxsize=8)
def _builtin(path: str) -> bytes:
    """The document of Kubernetes' own kinds, kept: kubectl asks for it with each explain and apply."""
    return _document(path, _members(path, Catalog()))


def _document(path: str, members: list[Resource]) -> bytes:
    paths: Document = {}
    wanted: list[str] = []
    own: Document = {}
    for resource in members:
        name = _name(resource)
        if name is None:
            continue
        if resource.custom is None:
            wanted.append(name)
        else:
            own[name] = _published({**resource.custom.schema, _KINDS: [_kind(resource)]}, wanted)
        scope = "/namespaces/{namespace}" if resource.namespaced else ""
        collection = f"/{path}{scope}/{resource.plural}"
        paths[collection] = {"post": _operation(resource, name, "post")}
        paths[f"{collection}/{{name}}"] = {
            verb: _operation(resource, name, verb) for verb in ("get", "put", "patch", "delete")
        }
    return json.dumps(
        {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": f"v{schema.VERSION}"},
            "paths": paths,
            "components": {"schemas": dict(sorted({**_closure(wanted), **own}.items()))},
        }
    ).encode()


def _name(resource: Resource) -> str | None:
    """The name of a kind's schema: for those of definitions the group's parts the other way round."""
    if resource.custom is None:
        return schema.definition_name(resource.group, resource.version, resource.kind)
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def _kind(resource: Resource) -> Document:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _operation(resource: Resource, name: str, verb: str) -> Document:
    kind = _kind(resource)
    operation: Document = {
        "operationId": f"{verb}{resource.kind}",
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": kind,
        "responses": {
            "200": {
                "description": "OK",
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
            }
        },
    }
    if verb != "get":
        operation["parameters"] = _PARAMETERS
    return operation


def _closure(names: list[str]) -> Document:
    """The definitions of some names and of all that they refer to."""
    found: Document = {}
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found[name] = _published(schema.definitions()[name], queue)
    return dict(sorted(found.items()))


def _published(node: Any, queue: list[str]) -> Any:
    """A definition as OpenAPI v3 writes it: plain types, references into components."""
    if isinstance(node, list):
        return [_published(item, queue) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):  # a schema of schemas has a property of that name
        name = node["$ref"].rsplit("/", 1)[1]
        queue.append(name)
        rest = {key: value for key, value in node.items() if key != "$ref"}
        reference = {"$ref": f"#/components/schemas/{name}"}
        return {**rest, "allOf": [reference], "default": {}} if rest else reference
    result = {}
    for key, value in node.items():
        if key == "type" and isinstance(value, list):
            value = next(item for item in value if item != "null")
        elif key == "enum" and node.get("x-kubernetes-group-version-kind"):
            continue
        result[key] = _published(value, queue)
    return result
