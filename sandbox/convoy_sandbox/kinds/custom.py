# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Custom resources: every object of a kind that a definition has brought, by the schema of its version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .. import documents, schema
from ..errors import ApiError, Cause
from ..resources import Custom, Resource
from ..store import Object
from . import rules, structural
from .base import Kind, wrong

_LARGEST = 2**31 - 1


class CustomKind(Kind):
    """The rules of one version of a custom resource."""

    has_generation = True
    unconditional_update = False

    def __init__(self, custom: Custom) -> None:
        self._custom = custom
        self.counts_status = not custom.has_status

    def default(self, obj: Object) -> None:
        """Fill in the defaults of the schema."""
        filled = structural.default(self._custom.schema, {key: obj[key] for key in obj if key != "metadata"})
        obj.update(filled)

    def default_status(self, obj: Object) -> None:
        """Fill in the defaults of the status's schema."""
        node = structural.property_of(self._custom.schema, "status") or {}
        obj["status"] = structural.default(node, obj.get("status", {}))

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        """The schema's errors, then those of the scale and of the rules."""
        before = structural.ABSENT if old is None else _content(old)
        node, content = self._custom.schema, _content(obj)
        causes = structural.validate(node, content, before)
        causes += self._wrong_scale(obj)
        if structural.blocks_rules(causes):
            return [*causes, structural.NOT_CHECKED]
        return causes + rules.check(node, content, before)

    def validate_status(self, obj: Object, old: Object) -> list[Cause]:
        """What is wrong with a status that is written by itself: its paths begin below it."""
        node = structural.property_of(self._custom.schema, "status") or {}
        status, before = obj.get("status", {}), old.get("status", structural.ABSENT)
        causes = structural.validate(node, status, before, prefix="status.")
        if structural.blocks_rules(causes):
            return [*causes, structural.NOT_CHECKED]
        return causes + rules.check(node, status, before, path="status")

    def _wrong_scale(self, obj: Object) -> list[Cause]:
        """A number of replicas that the scale subresource could not show."""
        if self._custom.scale is None:
            return []
        path = self._custom.scale["specReplicasPath"]
        replicas = at(obj, path)
        if isinstance(replicas, float):
            said = f"accessor error: {replicas:g} is of the type float64, expected int64"
            return [wrong(path, 0, f"{path} {said}")]
        if isinstance(replicas, bool) or not isinstance(replicas, int):
            return []
        if replicas < 0:
            return [wrong(path, replicas, "should be a non-negative integer")]
        if replicas > _LARGEST:
            return [wrong(path, replicas, f"should be less than or equal to {_LARGEST}")]
        return []


def _content(obj: Object) -> Object:
    """An object as its schema sees it: of the metadata the names only."""
    meta = obj.get("metadata") or {}
    return {**obj, "metadata": {key: meta[key] for key in ("name", "generateName") if key in meta}}


def decode(resource: Resource, obj: Object) -> tuple[Object, list[str]]:
    """An object without the fields that its version does not know, and the paths of those that it had.

    Raises ApiError 400 for metadata of the wrong types.
    """
    custom = _custom_of(resource)
    content = {key: obj[key] for key in obj if key != "metadata"}
    decoded, unknown = structural.prune(custom.schema, content)
    if isinstance(obj.get("metadata"), dict):
        decoded["metadata"], foreign = schema.metadata(obj["metadata"], resource)
        unknown = sorted([*unknown, *foreign])
    return decoded, unknown


def as_version(resource: Resource, obj: Object) -> Object:
    """An object as another version of its resource shows it: its fields and defaults, nothing is converted."""
    if resource.custom is None or obj.get("apiVersion") == resource.api_version:
        return obj
    shown, _ = structural.prune(resource.custom.schema, {key: obj[key] for key in obj if key != "metadata"})
    shown = structural.default(resource.custom.schema, shown)
    return {**shown, "metadata": obj["metadata"], "apiVersion": resource.api_version, "kind": resource.kind}


def _custom_of(resource: Resource) -> Custom:
    if resource.custom is None:
        raise TypeError(f"{resource.qualified} is no custom resource")
    return resource.custom


def doubled(resource: Resource, obj: Object) -> list[str]:
    """What an applied configuration has twice in lists that are maps or sets, in words."""
    return list(_doubled(_custom_of(resource).schema, obj, ""))


def _doubled(node: structural.Node, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key in sorted(value):
            child = structural.property_of(node, key)
            if child and "$ref" not in child:
                yield from _doubled(child, value[key], f"{path}.{key}")
    elif isinstance(value, list):
        keys = node.get("x-kubernetes-list-map-keys") or ()
        seen = []
        for item in value:
            if keys and isinstance(item, dict):
                identity = ",".join(f"{key}={json.dumps(item.get(key))}" for key in keys)
                if identity in seen:
                    yield f"{path}: duplicate entries for key [{identity}]"
                seen.append(identity)
        for item in value:
            yield from _doubled(node.get("items") or {}, item, path)


def scale(resource: Resource, obj: Object) -> tuple[int, Object]:
    """The replicas that are requested by an object that can be scaled, and the status of its Scale."""
    paths = _custom_of(resource).scale or {}
    status: Object = {"replicas": at(obj, paths.get("statusReplicasPath", "")) or 0}
    selector = at(obj, paths["labelSelectorPath"]) if paths.get("labelSelectorPath") else None
    if selector:
        status["selector"] = selector
    return at(obj, paths.get("specReplicasPath", "")) or 0, status


def scaled(resource: Resource, obj: Object, replicas: int) -> Object:
    """An object with another number of replicas."""
    changed = documents.copied(obj)
    *parents, last = (_custom_of(resource).scale or {})["specReplicasPath"].strip(".").split(".")
    place = changed
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = replicas
    return changed


def other_object(resource: Resource, name: str, key: str, wanted: str, there: str) -> ApiError:
    """409: an object is not the one that a deletion is for."""
    what = "UID" if key == "uid" else "ResourceVersion"
    text = (
        f"the {what} in the precondition ({wanted}) does not match the {what} in record ({there}). "
        "The object might have been deleted and then recreated"
        if key == "uid"
        else f"the {what} in the precondition ({wanted}) does not match the {what} in record ({there}). "
        "The object might have been modified"
    )
    return ApiError(
        409, "Conflict",
        f'Operation cannot be fulfilled on {resource.kind}.{resource.group} "{name}": {text}',
        {"name": name, "group": resource.group, "kind": resource.kind},
    )  # fmt: skip


# JSON paths, as printer columns and scales have them.


def at(obj: Any, path: str) -> Any:
    """The first value at a JSON path, None where there is none."""
    found = every(obj, path)
    return found[0] if found else None


def every(obj: Any, path: str) -> list[Any]:
    """The values at a JSON path: names, indexes, `*` and comparisons for equality (`[?(@.type=="Ready")]`)."""
    found = [obj]
    for step in _steps(path):
        found = [item for value in found for item in step(value)]
    return found


def _steps(path: str) -> list[Any]:
    steps: list[Any] = []
    rest = path
    while rest:
        if rest[0] == "[":
            inside, _, rest = rest[1:].partition("]")
            if inside.startswith("?"):
                steps.append(_comparison(inside))
            elif inside == "*":
                steps.append(lambda value: list(value.values()) if isinstance(value, dict) else list(value or ()))
            elif inside[0] in "'\"":
                steps.append(_name(inside[1:-1]))
            else:
                steps.append(_index(int(inside)))
            continue
        rest = rest.removeprefix(".")
        name, rest = _name_of(rest)
        if name == "*":
            steps.append(lambda value: list(value.values()) if isinstance(value, dict) else list(value or ()))
        elif name:
            steps.append(_name(name))
    return steps


def _name_of(text: str) -> tuple[str, str]:
    name = ""
    while text and text[0] not in ".[":
        if text[0] == "\\":
            text = text[1:]
        name, text = name + text[:1], text[1:]
    return name, text


def _name(name: str) -> Any:
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _index(index: int) -> Any:
    return lambda value: value[index:][:1] if isinstance(value, list) else []


def _comparison(text: str) -> Any:
    left, _, right = text.removeprefix("?(").removesuffix(")").partition("==")
    wanted = json.loads(right.strip().replace("'", '"'))
    path = left.strip().removeprefix("@")
    return lambda value: [item for item in value if at(item, path) == wanted] if isinstance(value, list) else []
