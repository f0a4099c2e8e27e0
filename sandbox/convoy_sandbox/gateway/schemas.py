# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of a CustomResourceDefinition's schema, as short as they can be written."""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"^{_LABEL}(\.{_LABEL})*$"
_NONE = object()


def text(most: int | None = None, pattern: str = "", *, least: int = 1, default: Any = _NONE, **more: Any) -> Node:
    """A text of at least one character."""
    node: Node = {"type": "string", **more}
    if most is not None:
        node |= {"minLength": least, "maxLength": most} if least else {"maxLength": most}
    if pattern:
        node["pattern"] = pattern
    return node if default is _NONE else {**node, "default": default}


def one_of(*values: str, default: Any = _NONE) -> Node:
    """A text that is one of some."""
    return text(enum=list(values), default=default)


def integer(least: int, most: int, *, default: Any = _NONE, bits: int = 32) -> Node:
    """A whole number."""
    node: Node = {"type": "integer", "format": f"int{bits}", "minimum": least, "maximum": most}
    return node if default is _NONE else {**node, "default": default}


def obj(
    *required: str,
    rules: Any = (),
    default: Any = _NONE,
    **properties: Any,
) -> Node:
    """An object; a property's name ends in `_` where Python has the word itself. A rule is CEL and its message."""
    node: Node = {"type": "object", "properties": {name.rstrip("_"): each for name, each in properties.items()}}
    if required:
        node["required"] = list(required)
    if rules:
        node["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in rules]
    return node if default is _NONE else {**node, "default": default}


def items(
    each: Node,
    most: int,
    *,
    least: int = 0,
    keys: tuple[str, ...] = (),
    kind: str = "atomic",
    rules: list[tuple[str, str]] | None = None,
    default: Any = _NONE,
) -> Node:
    """A list; with `keys` it is a map of its items by them."""
    node: Node = {"type": "array", "items": each, "maxItems": most, "x-kubernetes-list-type": "map" if keys else kind}
    if least:
        node["minItems"] = least
    if keys:
        node["x-kubernetes-list-map-keys"] = list(keys)
    if rules:
        node["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in rules]
    return node if default is _NONE else {**node, "default": default}


GROUP = text(253, rf"^$|{SUBDOMAIN}", least=0)
KIND = text(63, "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")
NAMESPACE = text(63, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
NAME = text(253)
SECTION = text(253, SUBDOMAIN)
HOSTNAME = text(253, rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$")
PORT = integer(1, 65535)
DURATION = text(pattern="^([0-9]{1,5}(h|m|s|ms)){1,4}$")
HEADER = text(256, r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$")
CONTROLLER = text(253, rf"^{_LABEL}(\.{_LABEL})*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$")


def conditions(*initial: str, **more: Any) -> Node:
    """The conditions of a status; the `initial` ones are waited for as long as no controller has said anything."""
    condition = obj(
        "lastTransitionTime", "message", "reason", "status", "type",
        lastTransitionTime=text(format="date-time"),
        message=text(32768, least=0),
        observedGeneration={"type": "integer", "format": "int64", "minimum": 0},
        reason=text(1024, "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
        status=one_of("True", "False", "Unknown"),
        type=text(316, r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$", least=0),
    )  # fmt: skip
    node = items(condition, 8, keys=("type",), **more)
    if initial:
        node["default"] = [
            {
                "type": kind, "status": "Unknown", "reason": "Pending", "message": "Waiting for controller",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }
            for kind in initial
        ]  # fmt: skip
    return node


def definition(
    kind: str,
    plural: str,
    spec: Node,
    status: Node | None,
    *,
    short: tuple[str, ...] = (),
    columns: tuple[tuple[str, str], ...] = (),
    versions: tuple[str, ...] = ("v1",),
    stored: str = "v1",
    namespaced: bool = True,
) -> Node:
    """A CustomResourceDefinition of Gateway API."""
    group = "gateway.networking.k8s.io"
    age = ("Age", ".metadata.creationTimestamp")
    any_text: Node = {"type": "string"}
    schema: Node = {
        "type": "object",
        "required": ["spec"],
        "properties": {"apiVersion": any_text, "kind": any_text, "metadata": {"type": "object"}, "spec": spec},
    }
    if status is not None:
        schema["properties"]["status"] = status
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {
                "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api",
                "gateway.networking.k8s.io/channel": "standard",
            },
        },
        "spec": {
            "group": group,
            "names": {
                "kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List",
                "categories": ["gateway-api"], "shortNames": list(short),
            },
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == stored,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}} if status is not None else {},
                    "additionalPrinterColumns": [
                        {
                            "name": name, "jsonPath": path,
                            "type": "date" if name == "Age" else "string",
                        }
                        for name, path in (*columns, age)
                    ],
                }
                for version in versions
            ],
        },
    }  # fmt: skip
