"""What a write changed, found in one walk, is what a comparison of every owned field finds."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from convoy_sandbox import apply, resources, schema

NODE = schema.root(resources.DEPLOYMENTS)
DEPLOYMENT: dict[str, Any] = {
    "kind": "Deployment",
    "apiVersion": "apps/v1",
    "metadata": {
        "name": "hello",
        "resourceVersion": "1",
        "labels": {"app": "hello"},
        "annotations": {"a": "b", "c": "d"},
        "finalizers": ["x", "y"],
        "ownerReferences": [],
    },
    "spec": {
        "replicas": 3,
        "paused": False,
        "selector": {"matchLabels": {"app": "hello"}},
        "template": {
            "metadata": {"labels": {"app": "hello"}},
            "spec": {
                "nodeSelector": {},
                "containers": [
                    {
                        "name": "a",
                        "image": "i:1",
                        "args": ["-x", "-y"],
                        "ports": [{"containerPort": 80}, {"containerPort": 81, "protocol": "UDP", "name": "u"}],
                        "env": [{"name": "E", "value": "1"}],
                        "resources": {"limits": {"cpu": "1"}},
                    },
                    {"name": "b"},
                ],
            },
        },
    },
    "status": {"conditions": [{"type": "Available", "status": "True"}, {"type": "Progressing"}]},
}


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value below a node."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from places(value, (*path, key))


def otherwise(obj: dict[str, Any], path: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """The object without the value of one place, with an empty one, and with another one."""
    for change in ("without", "empty", "other"):
        new = copy.deepcopy(obj)
        parent = new
        for key in path[:-1]:
            parent = parent[key]
        value = parent[path[-1]]
        if change == "without":
            del parent[path[-1]]
        elif change == "empty" and isinstance(value, dict | list):
            parent[path[-1]] = type(value)()
        elif change == "other" and not isinstance(value, dict | list):
            parent[path[-1]] = f"{value}!"
        else:
            continue
        yield new


def compared_field_by_field(before: dict[str, Any], after: dict[str, Any]) -> set[apply.Path]:
    return {
        path
        for path in apply.leaves(apply.fields_of(after, NODE))
        if apply.value_at(before, path, NODE) != apply.value_at(after, path, NODE)
    }


@pytest.mark.parametrize("path", [path for path in places(DEPLOYMENT) if path != ("metadata",)], ids=str)
def test_every_single_change_is_found(path: tuple[Any, ...]) -> None:
    for other in otherwise(DEPLOYMENT, path):
        for before, after in ((DEPLOYMENT, other), (other, DEPLOYMENT)):
            assert apply.changed_paths(before, after, NODE) == compared_field_by_field(before, after)


def test_nothing_changed_and_everything_new() -> None:
    assert apply.changed_paths(DEPLOYMENT, copy.deepcopy(DEPLOYMENT), NODE) == set()
    everything = apply.leaves(apply.fields_of(DEPLOYMENT, NODE))
    assert apply.changed_paths(None, DEPLOYMENT, NODE) == everything
    assert apply.changed_paths({}, DEPLOYMENT, NODE) == everything
    assert ("f:spec", "f:replicas") in everything


@pytest.mark.parametrize("key", ["spec", "status"])
def test_owners_are_the_same_where_a_part_stays_the_very_object_it_was(key: str) -> None:
    """As in a write to the status, whose new object has the stored one's spec, and in one to the spec."""
    told = {"manager": "m", "api_version": "apps/v1", "subresource": "", "now": "now"}
    owners: list[dict[str, Any]] = apply.record_update([], None, DEPLOYMENT, NODE, **told)
    # One who says to have what is not there any more, in the part that stays and in the one that does not.
    gone = {f"f:{part}": {"f:once": {}, "f:template": {}, "f:conditions": {}} for part in ("spec", "status")}
    owners.append({**owners[0], "manager": "n", "fieldsV1": gone})
    for path in [path for path in places(DEPLOYMENT) if path[0] == key]:
        for after in otherwise(DEPLOYMENT, path):
            after = {**DEPLOYMENT, key: after.get(key, {})}
            for _time in ("first", "second"):
                found = apply.record_update(owners, DEPLOYMENT, after, NODE, **told)
                assert found == apply.record_update(owners, DEPLOYMENT, copy.deepcopy(after), NODE, **told)


def test_another_part_at_the_same_place_in_memory_is_not_taken_for_one_before() -> None:
    for number in range(2 * apply._KEPT):
        stored = {"metadata": {"name": "a"}, "spec": {f"field{number}": 1}, "status": {}}
        (entry,) = apply.record_update(
            [], stored, {**stored, "status": {"b": number}}, {}, manager="m", api_version="v1", subresource="", now=""
        )
        assert entry["fieldsV1"] == {"f:status": {"f:b": {}}}
        assert apply._present(stored, {**stored}, {}) >= {("f:spec", f"f:field{number}")}
    assert len(apply._known) <= apply._KEPT
