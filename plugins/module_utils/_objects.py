# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is written of an object, and what that changes. Pure functions of plain objects."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Object = t.Dict[str, t.Any]

#: What the API server keeps of an object by itself, which says nothing about what is asked of it.
SERVERS_OWN = frozenset(["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"])


def definitions(given: t.Any, head: Object) -> list[Object]:
    """The objects that a task gives as YAML text, one object, a list of objects, or a List of them.

    `head` is what its other options say, which holds where an object does not say it itself. Raises Failure.
    """
    found = []
    for item in _flat(_parsed(given)):
        if not isinstance(item, dict) or not isinstance(item.get("metadata", {}), dict):
            raise Failure(f"definition holds {type(item).__name__} {item!r:.60}, which is no object of Kubernetes.")
        whole = {**head, **item, "metadata": {**head["metadata"], **(item.get("metadata") or {})}}
        missing = [key for key in ("apiVersion", "kind") if not whole.get(key)]
        if missing or not whole["metadata"].get("name"):
            raise Failure(f"An object of definition has no {(missing or ['metadata.name'])[0]}; give it one.")
        found.append(whole)
    return found


def _parsed(given: t.Any) -> list[t.Any]:
    if not isinstance(given, str):
        return given if isinstance(given, list) else [given or {}]
    try:
        import yaml
    except ImportError as error:
        raise Failure("PyYAML is needed to read a definition that is text: pip install PyYAML.") from error
    try:
        return [item for item in yaml.safe_load_all(given) if item]
    except yaml.MarkedYAMLError as error:
        # Not the text: it may be a Secret's.
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise Failure(f"definition is no YAML: {error.problem} in line {line}; mend the template.") from error
    except yaml.YAMLError as error:
        raise Failure("definition is no YAML: it holds characters that YAML does not allow.") from error


def _flat(items: t.Iterable[t.Any]) -> t.Iterator[t.Any]:
    for item in items:
        if isinstance(item, dict) and item.get("kind") == "List":
            yield from _flat(item.get("items") or [])
        else:
            yield item


def named(item: Object) -> str:
    """An object in words."""
    return f"{item['kind']} {item['metadata']['name']}"


def wishes(item: Object | None) -> Object:
    """What is asked of an object, empty where there is none."""
    if item is None:
        return {}
    kept = {key: value for key, value in item.items() if key != "status"}
    metadata = {key: value for key, value in item["metadata"].items() if key not in SERVERS_OWN}
    return dict(kept, metadata=metadata)


def merged(before: t.Any, patch: t.Any) -> t.Any:
    """What a JSON merge patch (RFC 7396) makes of `before`."""
    if not isinstance(patch, dict):
        return patch
    after = dict(before) if isinstance(before, dict) else {}
    for key, value in patch.items():
        if value is None:
            after.pop(key, None)
        else:
            after[key] = merged(after.get(key), value)
    return after


def merge_patch(before: t.Any, after: t.Any) -> t.Any:
    """The JSON merge patch (RFC 7396) that makes `after` of `before`, both objects; empty where they are alike."""
    patch: Object = {key: None for key in before if key not in after}
    for key, value in after.items():
        if isinstance(value, dict) and isinstance(before.get(key), dict):
            inner = merge_patch(before[key], value)
            if inner:
                patch[key] = inner
        elif key not in before or before[key] != value:
            patch[key] = value
    return patch


def difference(item: Object, before: Object | None, after: Object | None) -> Object:
    """What a task returns of the object that `item` defines: whether its wishes changed, and from what to what.

    What a Secret holds is not shown.
    """
    then, now = wishes(before), wishes(after)
    metadata = item["metadata"]
    said: Object = {
        "kind": item["kind"],
        "name": metadata["name"],
        "namespace": metadata.get("namespace", ""),
        "changed": then != now,
    }
    if then != now and item["kind"] != "Secret":
        said["diff"] = {"before": merge_patch(now, then), "after": merge_patch(then, now)}
    return said
