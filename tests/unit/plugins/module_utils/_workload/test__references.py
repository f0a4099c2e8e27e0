"""What a pod template cannot run without."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload._references import Reference, references

Object = dict[str, t.Any]


def template(container: Object | None = None, *volumes: Object, kind: str = "containers") -> Object:
    """A pod template."""
    return {"spec": {kind: [{"name": "web", **(container or {})}], "volumes": list(volumes)}}


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ({"envFrom": [{"configMapRef": {"name": "c"}}]}, Reference("ConfigMap", "c")),
        ({"envFrom": [{"secretRef": {"name": "s"}}]}, Reference("Secret", "s")),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]},
            Reference("ConfigMap", "c", frozenset(["k"])),
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            Reference("Secret", "s", frozenset(["k"])),
        ),
    ],
)
def test_what_a_container_is_given(made: Object, expected: Reference, kind: str) -> None:
    assert references(template(made, kind=kind)) == [expected]


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({"configMap": {"name": "c"}}, Reference("ConfigMap", "c")),
        ({"secret": {"secretName": "s"}}, Reference("Secret", "s")),
        (
            {"configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}},
            Reference("ConfigMap", "c", frozenset("k")),
        ),
        ({"projected": {"sources": [{"secret": {"name": "s"}}]}}, Reference("Secret", "s")),
        ({"projected": {"sources": [{"configMap": {"name": "c"}}]}}, Reference("ConfigMap", "c")),
    ],
)
def test_what_a_volume_is_made_of(volume: Object, expected: Reference) -> None:
    assert references(template(None, volume)) == [expected]


def test_what_is_optional_or_of_no_object_is_left_out() -> None:
    container = {
        "env": [
            {"name": "A", "value": "a"},
            {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
        ],
        "envFrom": [{"configMapRef": {"name": "c", "optional": True}}],
    }
    volumes = [{"emptyDir": {}}, {"secret": {"secretName": "s", "optional": True}}, {"projected": {"sources": [{}]}}]
    assert references(template(container, *volumes)) == []


def test_what_is_missing_is_said_by_object_or_by_key() -> None:
    needed = Reference("ConfigMap", "c", frozenset(["a", "b", "z"]))
    assert needed.missing(None) == ["ConfigMap c"]
    assert needed.missing({"data": {"a": ""}, "binaryData": {"b": ""}}) == ["key z of ConfigMap c"]
    assert Reference("Secret", "s").missing({}) == []
