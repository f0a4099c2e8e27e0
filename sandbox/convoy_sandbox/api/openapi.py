"""OpenAPI v3: the documents that `kubectl explain` and `kubectl apply` read."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from .. import schema
from ..resources import RESOURCES, Resource

Document = dict[str, Any]

_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "pretty")
]


def group_versions() -> list[str]:
    """`api/v1`, `apis/apps/v1`, ...: what there is a document for."""
    return sorted({_path(resource) for resource in RESOURCES.values()})


def _path(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def index() -> Document:
    """GET /openapi/v3."""
    return {
        "paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_digest(path)}"} for path in group_versions()}
    }


def _digest(path: str) -> str:
    return hashlib.sha512(f"{schema.VERSION} {path}".encode()).hexdigest().upper()


@lru_cache(maxsize=8)
def document(path: str) -> bytes | None:
    """GET /openapi/v3/PATH as JSON text, or None where there is no such group and version."""
    members = [resource for resource in RESOURCES.values() if _path(resource) == path]
    if not members:
        return None
    paths: Document = {}
    wanted: list[str] = []
    for resource in members:
        name = schema.definition_name(resource.group, resource.version, resource.kind)
        if name is None:
            continue
        wanted.append(name)
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
            "components": {"schemas": _closure(wanted)},
        }
    ).encode()


def _operation(resource: Resource, name: str, verb: str) -> Document:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
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
