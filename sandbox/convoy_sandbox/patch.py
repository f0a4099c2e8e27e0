# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON patch (RFC 6902), JSON merge patch (RFC 7396) and Kubernetes' strategic merge patch."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from . import documents, schema
from .errors import ApiError, bad_request

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_PRIMITIVE = "$deleteFromPrimitiveList/"


def json_patch(document: Any, operations: Any) -> Any:
    """The document after the operations. Raises ApiError 400 or 422 as the API server does."""
    if not isinstance(operations, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
    for operation in operations:
        if not isinstance(operation, dict):
            raise bad_request(f"error decoding patch: {operation!r} is not an operation: it must be an object")
    try:
        return jsonpatch.JsonPatch(operations).apply(documents.copied(document), in_place=True)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        text = "the server rejected our request due to an error in our request"
        raise ApiError(422, "Invalid", text, {}) from error


def merge(document: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return documents.copied(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic(document: Any, patch: Any, node: schema.Node) -> Any:
    """Merge by the merge keys of the schema, with the `$` directives. Raises ApiError 400."""
    if not isinstance(patch, dict):
        raise bad_request("a strategic merge patch must be an object")
    return _merge_object(document if isinstance(document, dict) else {}, patch, node)


def _merge_object(document: dict[str, Any], patch: dict[str, Any], node: schema.Node) -> dict[str, Any]:
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return _without_directives({key: value for key, value in patch.items() if key != _DIRECTIVE})
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"Wrong patch type or value in $patch: {directive}")
    for key, value in patch.items():
        if key.startswith((_RETAIN, _ORDER, _DELETE_PRIMITIVE)) and not isinstance(value, list):
            raise bad_request(f"Wrong patch type or value in {key}: it must be a list")
    result = dict(document)
    retain = patch.get(_RETAIN)
    if retain is not None:
        result = {key: value for key, value in result.items() if key in retain}
    for key, values in patch.items():
        if key.startswith(_DELETE_PRIMITIVE):
            name = key[len(_DELETE_PRIMITIVE) :]
            result[name] = [item for item in result.get(name) or [] if item not in values]
    for key, value in patch.items():
        if key in (_DIRECTIVE, _RETAIN) or key.startswith((_ORDER, _DELETE_PRIMITIVE)):
            continue
        child = schema.field(node, key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            current = result.get(key)
            result[key] = _merge_object(current if isinstance(current, dict) else {}, value, child)
        elif isinstance(value, list):
            result[key] = _merge_list(result.get(key) or [], value, child)
        else:
            result[key] = value
    for key, order in patch.items():
        if key.startswith(_ORDER):
            name = key[len(_ORDER) :]
            if isinstance(result.get(name), list):
                result[name] = _ordered(result[name], order, schema.field(node, name))
    return result


def _merge_list(current: list[Any], patch: list[Any], node: schema.Node) -> list[Any]:
    strategy = node.get("x-kubernetes-patch-strategy", "")
    if "merge" not in strategy.split(","):
        return _without_directives(patch)
    key = node.get("x-kubernetes-patch-merge-key")
    if key is None:  # a list of plain values
        return current + [item for item in patch if item not in current]
    result = list(current)
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return _without_directives(
            [item for item in patch if not (isinstance(item, dict) and item.get(_DIRECTIVE) == "replace")]
        )
    element = schema.items(node)
    server = [item.get(key) for item in current if isinstance(item, dict)]
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        found = [index for index, old in enumerate(result) if isinstance(old, dict) and old.get(key) == item[key]]
        if item.get(_DIRECTIVE) == "delete":
            result = [old for index, old in enumerate(result) if index not in found]
        elif found:
            result[found[0]] = _merge_object(result[found[0]], item, element)
        else:
            result.append(_merge_object({}, item, element))
    return _interleaved(result, [item.get(key) for item in patch], server, key)


def _interleaved(merged: list[Any], patched: list[Any], server: list[Any], key: str) -> list[Any]:
    """The elements of a patch in its order among those that it does not name, before which new ones come."""
    named = {item.get(key): item for item in merged if item.get(key) in patched}
    left = [item for item in merged if item.get(key) not in patched]
    result: list[Any] = []
    for name in dict.fromkeys(patched):
        if name not in named:
            continue
        if name in server:
            while left and server.index(left[0].get(key)) < server.index(name):
                result.append(left.pop(0))
        result.append(named[name])
    return result + left


def _ordered(values: list[Any], order: list[Any], node: schema.Node) -> list[Any]:
    """The list in the order that the patch asks for; what it does not name keeps its place behind
    the element it stood after."""
    key = node.get("x-kubernetes-patch-merge-key")

    def identity(value: Any) -> Any:
        return value.get(key) if key and isinstance(value, dict) else value

    rank = {_hashable(identity(value)): index for index, value in enumerate(order)}
    last = -1
    ranked: list[tuple[int, int, Any]] = []
    for index, value in enumerate(values):
        last = rank.get(_hashable(identity(value)), last)
        ranked.append((last, index, value))
    return [value for _, _, value in sorted(ranked, key=lambda item: item[:2])]


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_directives(item)
            for key, item in value.items()
            if item is not None and not key.startswith((_DIRECTIVE, _RETAIN, _ORDER, _DELETE_PRIMITIVE))
        }
    if isinstance(value, list):
        return [_without_directives(item) for item in value]
    return value
