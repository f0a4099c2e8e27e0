# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of the API: OpenAPI definitions of Kubernetes v1.36, and objects decoded by them.

The definitions come from the package `kubernetes_validate`; they carry the merge keys of lists, so
that strict decoding, strategic merge and server-side apply all read the same source.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from . import quantities
from .errors import bad_request

if TYPE_CHECKING:
    from .resources import Resource

Node = dict[str, Any]

VERSION = "1.36.2"
_FILE = "kubernetes-json-schema/v1.36.0-local/_definitions.json"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"

#: Fields that are plain values in Go's types and, where not required, omitempty: false, 0 and "" are
#: not stored, so that defaults take their place.
#: (Most optional fields are pointers, whose zero values stay; the schema does not tell them apart.)
_OMIT_ZERO = frozenset(
    {
        "paused", "minReadySeconds", "hostNetwork", "hostPID", "hostIPC", "tty", "stdin", "stdinOnce",
        "readOnly", "initialDelaySeconds", "hostPort", "publishNotReadyAddresses", "unschedulable",
        "namespace", "generateName", "selfLink", "uid", "resourceVersion", "generation", "appProtocol",
        "subPath", "nodeName", "hostname", "subdomain", "clusterIP", "nodePort", "externalName",
        "healthCheckNodePort", "collisionCount", "readyReplicas", "availableReplicas", "updatedReplicas",
        "unavailableReplicas", "fullyLabeledReplicas", "observedGeneration", "count", "message", "reason",
        "priorityClassName", "serviceAccount", "serviceAccountName", "workingDir", "loadBalancerIP",
        "value", "key", "operator", "effect", "protocol", "image", "imagePullPolicy", "restartPolicy",
        "dnsPolicy", "schedulerName", "terminationMessagePath", "terminationMessagePolicy", "type",
        "sessionAffinity", "externalTrafficPolicy", "scheme", "host", "name",
    }
)  # fmt: skip
#: Lists and maps that Go writes out even when they are empty.
_KEEP_EMPTY = frozenset({"containers", "endpoints", "ports_of_endpointslice", "emptyDir", "conditions"})


@cache
def definitions() -> dict[str, Node]:
    """All definitions, by their OpenAPI name (`io.k8s.api.apps.v1.Deployment`)."""
    text = files("kubernetes_validate").joinpath(_FILE).read_text()
    found: dict[str, Node] = json.loads(text)["$defs"]
    return found


@cache
def _names() -> dict[tuple[str, str, str], str]:
    """Definition names by (group, version, kind); of several the one that has metadata is meant."""
    names: dict[tuple[str, str, str], str] = {}
    for name, node in definitions().items():
        for kind in node.get("x-kubernetes-group-version-kind", ()):
            names.setdefault((kind["group"], kind["version"], kind["kind"]), name)
    return names


def definition_name(group: str, version: str, kind: str) -> str | None:
    """The OpenAPI name of a kind, or None where the definitions do not have it."""
    return _names().get((group, version, kind))


def root(resource: Resource, kind: str = "") -> Node:
    """The definition of a resource's kind (or of another kind of that group); {} where there is none."""
    if resource.custom is not None and kind in ("", resource.kind):
        return resource.custom.schema
    name = definition_name(resource.group, resource.version, kind or resource.kind)
    return definitions()[name] if name else {}


def resolve(node: Node) -> Node:
    """The definition that a `$ref` points to, or the node itself."""
    ref = node.get("$ref")
    return definitions()[ref.rsplit("/", 1)[1]] if ref else node


def field(node: Node, name: str) -> Node:
    """The schema of one field of an object or of a map's values; {} where it is not known.

    The node keeps its own list and patch extensions beside the `$ref`.
    """
    node = resolve(node)
    properties = node.get("properties")
    if properties:
        found: Node = properties.get(name, {})
        return found
    extra = node.get("additionalProperties")
    return extra if isinstance(extra, dict) else {}


def items(node: Node) -> Node:
    """The schema of a list's elements."""
    found: Node = resolve(node).get("items", {})
    return found


def decode(resource: Resource, obj: Any, *, kind: str = "") -> tuple[dict[str, Any], list[str]]:
    """An object as Go would decode and write it back, and the names of the unknown fields it had.

    Raises ApiError 400 where a value has the wrong type.
    """
    kind = kind or resource.kind
    if not isinstance(obj, dict):
        raise bad_request(f"cannot decode a {kind}: it is not an object")
    node = root(resource, kind)
    if not node:
        return obj, []
    unknown: list[str] = []
    try:
        decoded = _decode(node, obj, "", unknown, kind)
    except _WrongTypeError as wrong:
        raise bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {kind}: '
            f"json: cannot unmarshal {wrong.given} into Go {wrong.where} of type {wrong.expected}"
        ) from None
    except (_BadQuantityError, _BadBase64Error) as bad:
        raise bad_request(f'{kind} in version "{resource.version}" cannot be handled as a {kind}: {bad}') from None
    return decoded, unknown


def undeclared(node: Node, value: Any, path: str = "") -> list[str]:
    """The paths of the fields that a schema does not know, whatever else is wrong with a value."""
    node = resolve(node)
    if isinstance(value, list):
        element = node.get("items", {})
        return [found for index, item in enumerate(value) for found in undeclared(element, item, f"{path}[{index}]")]
    if not isinstance(value, dict):
        return []
    properties = node.get("properties")
    found: list[str] = []
    for key, item in value.items():
        inner = f"{path}.{key}" if path else key
        if properties and key not in properties:
            found.append(inner)
        else:
            found += undeclared(field(node, key), item, inner)
    return found


def metadata(obj: dict[str, Any], resource: Resource) -> tuple[dict[str, Any], list[str]]:
    """The metadata of an object, decoded, and the unknown fields in them. Raises ApiError 400."""
    unknown: list[str] = []
    node = definitions()["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]
    try:
        decoded: dict[str, Any] = _decode(node, obj, "metadata", unknown, resource.kind)
    except _WrongTypeError as wrong:
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"json: cannot unmarshal {wrong.given} into Go {wrong.where} of type {wrong.expected}"
        ) from None
    return decoded, unknown


#: What a schema has no line for where it is false; all its other values are as they were written.
_FALSE_IS_ABSENT = frozenset(
    {
        "uniqueItems", "nullable", "exclusiveMaximum", "exclusiveMinimum", "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    }
)  # fmt: skip
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "definitions"})


def _schema_props(value: Any) -> Any:
    """A JSON schema, decoded: unlike elsewhere, an empty value in it means something."""
    if isinstance(value, list):
        return [_schema_props(item) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        if item is None or (item is False and key in _FALSE_IS_ABSENT):
            continue
        if key in _NAMED_SCHEMAS and isinstance(item, dict):
            found[key] = {name: _schema_props(child) for name, child in item.items()}
        elif key in ("items", "additionalProperties", "not", "allOf", "anyOf", "oneOf"):
            found[key] = _schema_props(item)
        else:
            found[key] = item
    return found


class _WrongTypeError(Exception):
    def __init__(self, given: str, where: str, expected: str) -> None:
        super().__init__(given)
        self.given, self.where, self.expected = given, where, expected


class _BadQuantityError(Exception):
    pass


class _BadBase64Error(Exception):
    pass


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "array" if isinstance(value, list) else "object"


@lru_cache(maxsize=8192)
def _ref_name(ref: str) -> str:
    return ref.rsplit("/", 1)[1]


def _types(node: Node) -> tuple[str, ...]:
    declared = node.get("type", ())
    return (declared,) if isinstance(declared, str) else tuple(declared)


def _decode(node: Node, value: Any, path: str, unknown: list[str], struct: str) -> Any:
    ref = node.get("$ref")
    name = _ref_name(ref) if ref else ""
    if name == _QUANTITY:
        if isinstance(value, (bool, dict, list)):
            raise _BadQuantityError(quantities.PATTERN_MESSAGE)
        try:
            return quantities.canonical(value)
        except ValueError as error:
            raise _BadQuantityError(str(error)) from None
    if name == _INT_OR_STRING:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise _WrongTypeError(_json_type(value), _where(struct, path), "int32")
        return value
    if name.endswith("JSONSchemaProps"):
        return _schema_props(value)
    if ref:
        node = definitions()[name]
        if "properties" in node:
            struct = name.rsplit(".", 1)[1]
    if "properties" in node:
        return _decode_struct(node, value, path, unknown, struct)
    types = _types(node)
    if "array" in types:
        if not isinstance(value, list):
            raise _WrongTypeError(_json_type(value), _where(struct, path), "[]" + _go_type(node.get("items", {})))
        element = node.get("items", {})
        return [
            _decode(element, item, f"{path}[{index}]", unknown, struct)
            for index, item in enumerate(value)
            if item is not None
        ]
    if "object" in types:
        extra = node.get("additionalProperties")
        if not isinstance(value, dict):
            raise _WrongTypeError(_json_type(value), _where(struct, path), "map[string]" + _go_type(extra or {}))
        if not isinstance(extra, dict):
            return value
        # Go names the map's own path for a wrong value in it.
        return {
            str(key): _decode(extra, item, path, unknown, struct) for key, item in value.items() if item is not None
        }
    return _decode_scalar(node, types, value, path, struct)


def _decode_struct(node: Node, value: Any, path: str, unknown: list[str], struct: str) -> Any:
    if not isinstance(value, dict):
        raise _WrongTypeError(_json_type(value), _where(struct, path), f"v1.{struct}")
    properties = node["properties"]
    required = node.get("required", ())
    found: dict[str, Any] = {}
    for key, item in value.items():
        inner = f"{path}.{key}" if path else key
        child = properties.get(key)
        if child is None:
            unknown.append(inner)
            continue
        if item is None:
            continue
        decoded = _decode(child, item, inner, unknown, struct)
        if decoded in ({}, []) and key not in _KEEP_EMPTY and not _is_struct(child):
            continue
        if not decoded and key in _OMIT_ZERO and key not in required and not isinstance(decoded, (dict, list)):
            continue
        found[key] = decoded
    return found


def _is_struct(node: Node) -> bool:
    target = resolve(node)
    return "properties" in target or ("$ref" in node and "additionalProperties" not in target)


def _decode_scalar(node: Node, types: tuple[str, ...], value: Any, path: str, struct: str) -> Any:
    if "string" in types and not isinstance(value, str):
        raise _WrongTypeError(_json_type(value), _where(struct, path), "string")
    if "boolean" in types and not isinstance(value, bool):
        raise _WrongTypeError(_json_type(value), _where(struct, path), "bool")
    if "integer" in types:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _WrongTypeError(_json_type(value), _where(struct, path), _go_type(node))
        if isinstance(value, float):
            if not value.is_integer():
                raise _WrongTypeError(f"number {value}", _where(struct, path), _go_type(node))
            value = int(value)
        bits = 64 if node.get("format") == "int64" else 32
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise _WrongTypeError(f"number {value}", _where(struct, path), _go_type(node))
    if node.get("format") == "byte" and (at := _base64_error(value)) is not None:
        raise _BadBase64Error(f"illegal base64 data at input byte {at}")
    return value


_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*")
_BASE64_END = re.compile(r"[A-Za-z0-9+/]{2}(==|[A-Za-z0-9+/]=)")


def _base64_error(text: str) -> int | None:
    """The byte at which Go finds a base64 text wrong (line ends not counted); None where it is sound."""
    text = text.replace("\r", "").replace("\n", "")
    sound = _BASE64.match(text)
    at = sound.end() if sound else 0
    rest = text[at:]
    if _BASE64_END.match(rest):  # anything behind the padding is one byte too many
        return at + 4 if len(rest) > 4 else None
    wrong = re.search(r"[^A-Za-z0-9+/]", rest)
    return at + wrong.start() if wrong else at if rest else None


def _where(struct: str, path: str) -> str:
    plain = "".join(part for part in path.replace("]", "[").split("[")[::2]) if "[" in path else path
    return f"struct field {struct}.{plain}" if path else "value"


def _go_type(node: Node) -> str:
    if "$ref" in node:
        return "v1." + _ref_name(node["$ref"]).rsplit(".", 1)[1]
    types = _types(node)
    if "integer" in types:
        return str(node.get("format", "int32"))
    if "boolean" in types:
        return "bool"
    return "string" if "string" in types else "map[string]string"
