# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Field ownership: who set which field (`managedFields`), and server-side apply on top of it.

A field set is kept in the form of FieldsV1: nested dicts whose keys are `f:NAME` for fields,
`k:{...}` for elements of lists by key, `v:VALUE` for elements of sets and `.` for the element itself.
Source of the rules: the Kubernetes documentation on Server-Side Apply.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from . import documents, schema
from .errors import ApiError

Fields = dict[str, Any]
Path = tuple[str, ...]

#: Set by the server or part of an object's identity: nobody's field.
_NOT_OWNED = frozenset(
    {
        "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields",
        "selfLink", "generateName", "deletionTimestamp", "deletionGracePeriodSeconds",
    }
)  # fmt: skip


def fields_of(obj: dict[str, Any], node: schema.Node, *, maps: bool = True) -> Fields:
    """The field set of a whole object, without what nobody owns.

    With `maps` the maps themselves belong to it: an update makes them, an apply owns their entries only.
    """
    return _fields(_owned_part(obj), node, maps=maps)


def _owned_part(obj: dict[str, Any]) -> dict[str, Any]:
    body = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    if "metadata" in body:
        body["metadata"] = {k: v for k, v in body["metadata"].items() if k not in _NOT_OWNED}
        if not body["metadata"]:
            del body["metadata"]
    return body


def _is_map(value: Any, node: schema.Node) -> bool:
    """Whether a value is a map, whose being there is owned too, and not an object of named fields."""
    return bool(node) and isinstance(value, dict) and "properties" not in schema.resolve(node)


def _is_atomic(node: schema.Node) -> bool:
    target = schema.resolve(node)
    return "atomic" in (node.get("x-kubernetes-map-type"), target.get("x-kubernetes-map-type"))


def list_keys(node: schema.Node) -> list[str] | None:
    """The keys of a list whose elements are merged by key; None for a list of another type."""
    if node.get("x-kubernetes-list-type") == "map":
        keys: list[str] = node["x-kubernetes-list-map-keys"]
        return keys
    return None


def doubled(value: Any, node: schema.Node, path: str = "") -> list[str]:
    """The elements that stand twice in lists which are merged by key, in the API server's words."""
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in doubled(item, schema.field(node, key), f"{path}.{key}")]
    if not isinstance(value, list):
        return []
    keys = list_keys(node)
    found, seen = [], set()
    for item in value:
        if keys and isinstance(item, dict):
            identity = ",".join(f"{key}={json.dumps(item[key])}" for key in keys if key in item)
            if identity in seen:
                found.append(f"{path}: duplicate entries for key [{identity}]")
            seen.add(identity)
    return found + [text for item in value for text in doubled(item, schema.items(node), path)]


def _element_key(item: dict[str, Any], keys: list[str]) -> str:
    # The protocol of a port is defaulted, so it belongs to the key even where it is not written.
    identity = {key: item.get(key, "TCP" if key == "protocol" else None) for key in sorted(keys)}
    return "k:" + json.dumps({k: v for k, v in identity.items() if v is not None}, separators=(",", ":"))


def _children(value: Any, node: schema.Node) -> list[tuple[str, Any, schema.Node]] | None:
    """The parts that are owned one by one, with their keys and schemas; None for a value owned whole."""
    if isinstance(value, dict):
        if _is_atomic(node) or not value:
            return None
        return [(f"f:{key}", item, schema.field(node, key)) for key, item in value.items()]
    if isinstance(value, list):
        element = schema.items(node)
        keys = list_keys(node)
        if keys:
            return [(_element_key(item, keys), item, element) for item in value if isinstance(item, dict)]
        if node.get("x-kubernetes-list-type") == "set":
            return [("v:" + json.dumps(item), item, {}) for item in value]
    return None


def _fields(value: Any, node: schema.Node, *, maps: bool) -> Fields:
    children = _children(value, node)
    if children is None:
        return {}
    found: Fields = {key: _fields(item, child, maps=maps) for key, item, child in children}
    if maps and _is_map(value, node):
        found = {".": {}, **found}
    for key in found:
        if key.startswith("k:"):
            found[key] = {".": {}, **found[key]}
    return found


def leaves(fields: Fields, prefix: Path = ()) -> set[Path]:
    """The paths of a set's leaves."""
    if not fields:
        return {prefix} if prefix else set()
    found: set[Path] = set()
    for key, inner in fields.items():
        found |= leaves(inner, (*prefix, key))
    return found


def tree(paths: set[Path]) -> Fields:
    """The field set of some paths."""
    root: Fields = {}
    for path in sorted(paths):
        node = root
        for key in path:
            node = node.setdefault(key, {})
    return root


def value_at(obj: Any, path: Path, node: schema.Node) -> Any:
    """The value at a path, or `MISSING`."""
    for key in path:
        if key == ".":
            return PRESENT if obj is not MISSING else MISSING
        children = _children(obj, node) or []
        for name, item, child in children:
            if name == key:
                obj, node = item, child
                break
        else:
            return MISSING
    return obj


MISSING = object()
PRESENT = object()


def changed_paths(before: dict[str, Any] | None, after: dict[str, Any], node: schema.Node) -> set[Path]:
    """The leaves of `after` that were not there before or had another value."""
    if before is None:
        return leaves(fields_of(after, node))
    found: set[Path] = set()
    _collect_changes(before, _owned_part(after), node, (), found)
    return found


def _collect_changes(before: Any, after: Any, node: schema.Node, path: Path, found: set[Path]) -> None:
    """Add to `found` the leaves at and below `path` that `before` (or MISSING) lacks or has otherwise."""
    if before == after:  # most of an object, most of the time
        return
    children = _children(after, node)
    is_element = bool(path) and path[-1].startswith("k:")
    if before is MISSING and (is_element or (children is not None and _is_map(after, node))):
        found.add((*path, "."))
    if not children:
        if path and not is_element:
            found.add(path)
        return
    old: dict[str, Any] = {}
    for key, item, _ in (_children(before, node) or []) if before is not MISSING else []:
        old.setdefault(key, item)
    for key, item, child in children:
        _collect_changes(old.get(key, MISSING), item, child, (*path, key), found)


def record_update(
    managed: list[dict[str, Any]],
    before: dict[str, Any] | None,
    after: dict[str, Any],
    node: schema.Node,
    *,
    manager: str,
    api_version: str,
    subresource: str,
    now: str,
) -> list[dict[str, Any]]:
    """managedFields after a create, an update or a patch: what changed belongs to its author alone."""
    changed = changed_paths(before, after, node)
    present = _present(before, after, node)
    entries: list[dict[str, Any]] = []
    mine: dict[str, Any] | None = None
    for entry in managed:
        is_mine = _identity(entry) == (manager, "Update", subresource)
        fields = entry.get("fieldsV1") or {}
        owned = _remembered(fields, None, functools.partial(leaves, fields))
        kept = {path for path in owned if path in present and (is_mine or path not in changed)}
        if is_mine:
            mine = entry
            kept |= changed
        if kept == owned and not (is_mine and changed):
            entries.append(entry)
        elif kept:
            stamp = {"time": now} if is_mine else {}
            entries.append({**entry, **stamp, "fieldsV1": tree(kept)})
    if mine is None and changed:
        entries.append(_entry(manager, "Update", api_version, subresource, now, changed))
    return entries


#: The leaves of parts of stored objects, which nobody changes. A part is known by its identity, which no other object
#: has while the part is kept here.
_KEPT = 512
_known: dict[tuple[int, int], tuple[Any, Any, set[Path]]] = {}


def _remembered(part: Any, node: Any, find: Callable[[], set[Path]]) -> set[Path]:
    """The leaves of a part of a stored object, seen by a schema; `find` is called where they are not known yet."""
    known = _known.get((id(part), id(node)))
    if known is None:
        if len(_known) >= _KEPT:
            _known.clear()
        known = _known[id(part), id(node)] = part, node, find()
    return known[2]


def _present(before: dict[str, Any] | None, after: dict[str, Any], node: schema.Node) -> set[Path]:
    """The leaves of an object's fields. Most writes are to its status, and the rest stays the very object it was."""
    found: set[Path] = {(".",)} if _is_map(after, node) else set()
    for key, value in _owned_part(after).items():
        child = schema.field(node, key)

        def find(key: str = key, value: Any = value, child: schema.Node = child) -> set[Path]:
            return leaves(_fields(value, child, maps=True), (f"f:{key}",))

        stored = before is not None and value is before.get(key)
        found |= _remembered(value, child, find) if stored else find()
    return found


def _identity(entry: dict[str, Any]) -> tuple[str, str, str]:
    return entry.get("manager", ""), entry.get("operation", ""), entry.get("subresource", "")


def _entry(
    manager: str, operation: str, api_version: str, subresource: str, now: str, paths: set[Path]
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": tree(paths),
    }
    if subresource:
        entry["subresource"] = subresource
    return entry


def server_side_apply(
    live: dict[str, Any] | None,
    config: dict[str, Any],
    node: schema.Node,
    *,
    manager: str,
    api_version: str,
    force: bool,
    subresource: str,
    now: str,
) -> dict[str, Any]:
    """The object after an apply, with its new managedFields. Raises ApiError 409 on conflicts."""
    wanted = leaves(fields_of(config, node, maps=False))
    if live is None:
        merged = documents.copied(config)
        merged["metadata"]["managedFields"] = [_entry(manager, "Apply", api_version, subresource, now, wanted)]
        return merged
    managed: list[dict[str, Any]] = live["metadata"].get("managedFields") or []
    me = (manager, "Apply", subresource)
    conflicts: list[tuple[dict[str, Any], list[Path]]] = []
    taken: set[Path] = set()
    for entry in managed:
        if _identity(entry) == me:
            continue
        clash = [
            path
            for path in sorted(wanted & leaves(entry.get("fieldsV1") or {}))
            if path[-1] != "." and value_at(live, path, node) != value_at(config, path, node)
        ]
        if clash:
            conflicts.append((entry, clash))
            taken.update(clash)
    if conflicts and not force:
        raise _conflict(conflicts)

    previous = next((leaves(entry["fieldsV1"]) for entry in managed if _identity(entry) == me), set())
    owned_by_others: set[Path] = set()
    entries: list[dict[str, Any]] = []
    for entry in managed:
        if _identity(entry) == me:
            continue
        owned = leaves(entry.get("fieldsV1") or {})
        kept = owned - taken
        owned_by_others |= kept
        if kept:
            entries.append(entry if kept == owned else {**entry, "fieldsV1": tree(kept)})
    merged = _merge(live, config, node)
    # Whole elements first: without its key an element could not be found any more.
    for path in sorted(previous - wanted - owned_by_others, key=lambda path: (path[-1] != ".", -len(path))):
        if path[-1] != "." or not any(applied[: len(path) - 1] == path[:-1] for applied in wanted):
            _remove(merged, path, node, owned_by_others)
    old = next((entry for entry in managed if _identity(entry) == me), None)
    if old is not None and previous == wanted:
        entries.insert(0, old)
    else:
        entries.insert(0, _entry(manager, "Apply", api_version, subresource, now, wanted))
    merged["metadata"]["managedFields"] = entries
    return merged


def _conflict(conflicts: list[tuple[dict[str, Any], list[Path]]]) -> ApiError:
    causes = []
    texts = []
    for entry, paths in sorted(conflicts, key=lambda item: _identity(item[0])):
        name, _, subresource = _identity(entry)
        who = f'"{name}"'
        if subresource:
            who += f' with subresource "{subresource}"'
        if entry.get("operation") != "Apply":
            who += f" using {entry['apiVersion']}"
        paths = sorted(paths, key=_in_set)
        texts.append((who, [dotted(path) for path in paths]))
        causes += [
            {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": dotted(path)}
            for path in paths
        ]
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: conflict with {texts[0][0]}: {texts[0][1][0]}"
    else:
        lines = [f"conflicts with {who}:\n" + "\n".join(f"- {path}" for path in paths) for who, paths in texts]
        text = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", text, {"causes": causes})


def _in_set(path: Path) -> list[tuple[int, str]]:
    """Where a path stands in a set of fields: at each level its own members before what lies deeper."""
    return [*((1, key) for key in path[:-1]), (0, path[-1])]


def dotted(path: Path) -> str:
    """A path as conflict messages write it: `.spec.containers[name="hello"].image`."""
    text = ""
    for key in path:
        kind, _, name = key.partition(":")
        if kind == "f":
            text += f".{name}"
        elif kind == "k":
            text += "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(name).items()) + "]"
        elif kind == "v":
            text += f"[={name}]"
    return text


def _merge(live: Any, config: Any, node: schema.Node) -> Any:
    """What is configured laid over what is there, element by element where the schema says so."""
    if isinstance(config, dict) and isinstance(live, dict) and not _is_atomic(node):
        result = {key: documents.copied(value) for key, value in live.items()}
        for key, value in config.items():
            result[key] = _merge(live[key], value, schema.field(node, key)) if key in live else documents.copied(value)
        return result
    keys = list_keys(node)
    if isinstance(config, list) and isinstance(live, list) and keys:
        element = schema.items(node)
        old = {_element_key(item, keys): item for item in live}
        new = {_element_key(item, keys): item for item in config}
        return [
            _merge(old[key], new[key], element)
            if key in old and key in new
            else documents.copied(new.get(key, old.get(key)))
            for key in _interleaved(list(old), list(new))
        ]
    if isinstance(config, list) and isinstance(live, list) and node.get("x-kubernetes-list-type") == "set":
        return documents.copied(_interleaved(live, config))
    return documents.copied(config)


def _interleaved(old: list[Any], new: list[Any]) -> list[Any]:
    """The elements of two lists: those that were there and are not applied keep their place, the rest is as applied."""
    merged: list[Any] = []
    at = 0
    for item in new:
        if item in old:
            while at < len(old) and old[at] != item:
                if old[at] not in new:
                    merged.append(old[at])
                at += 1
            at += at < len(old)
        else:
            while at < len(old) and old[at] not in new:
                merged.append(old[at])
                at += 1
        merged.append(item)
    return merged + [item for item in old[at:] if item not in new and item not in merged]


def _remove(obj: Any, path: Path, node: schema.Node, owned_by_others: set[Path]) -> None:
    """Take a field away that its only owner no longer applies, and a list element with its last field."""
    if path[-1] == ".":
        path = path[:-1]
        if any(other[: len(path)] == path for other in owned_by_others):
            return
    for key in path[:-1]:
        for name, item, child in _children(obj, node) or []:
            if name == key:
                obj, node = item, child
                break
        else:
            return
    last = path[-1]
    if last.startswith("f:") and isinstance(obj, dict):
        obj.pop(last[2:], None)
    elif isinstance(obj, list):
        children = _children(obj, node) or []
        gone = [index for index, (name, _, _) in enumerate(children) if name == last]
        for index in reversed(gone):
            del obj[index]
