"""Custom resources: what a schema prunes, fills in and refuses, its rules, versions and scales."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.errors import ApiError
from convoy_sandbox.kinds import custom, definitions, rules, structural
from convoy_sandbox.registry import Registry, scale_of
from convoy_sandbox.resources import Resource
from convoy_sandbox.store import Store
from hypothesis import given
from hypothesis import strategies as st

SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["colour"],
    "properties": {
        "colour": {"type": "string", "enum": ["blue", "red"]},
        "replicas": {"type": "integer", "format": "int32", "minimum": 0, "default": 1},
        "inner": {"type": "object", "default": {}, "properties": {"level": {"type": "integer", "default": 5}}},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "weight": {"type": "integer", "maximum": 100}},
                "x-kubernetes-validations": [{"rule": "self.weight >= oldSelf.weight", "message": "only up"}],
            },
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "nothing": {"type": "string", "nullable": True},
    },
    "x-kubernetes-validations": [
        {"rule": "self.replicas <= 10", "messageExpression": "self.colour + ' is enough'", "fieldPath": ".replicas"}
    ],
}


def definition(**versions: Any) -> dict[str, Any]:
    """The definition of Widgets, in v1 and what else is given."""
    status = {
        "type": "object",
        "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string", "default": "New"}},
    }
    node = {"type": "object", "properties": {"spec": SPEC, "status": status}}
    paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    first = {
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": node},
        "subresources": {"status": {}, "scale": paths},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.lab.example"},
        "spec": {
            "group": "lab.example",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": name, **version} for name, version in {"v1": first, **versions}.items()],
        },
    }


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    old = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"colour": {"type": "string"}}}}}
    older = {"served": True, "storage": False, "schema": {"openAPIV3Schema": old}}
    stored = registry.create(resources.CUSTOMRESOURCEDEFINITIONS, "", definition(v1alpha1=older))
    registry.catalog.serve("widgets.lab.example", definitions.served(stored))
    return registry


def kind(registry: Registry, version: str = "v1") -> Resource:
    found = registry.catalog.find("lab.example", version, "widgets")
    assert found is not None
    return found


def made(registry: Registry, spec: Any, version: str = "v1", **how: Any) -> dict[str, Any]:
    body = {"apiVersion": f"lab.example/{version}", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}
    return registry.create(kind(registry, version), "lab", body, **how)


def patched(registry: Registry, body: Any, version: str = "v1", **how: Any) -> dict[str, Any]:
    return registry.patch(kind(registry, version), "lab", "w", patch.MERGE, body, **how)[0]


def test_unknown_fields_are_pruned_and_defaults_filled_in(registry: Registry) -> None:
    widget = made(registry, {"colour": "blue", "unknown": 1, "free": {"any": {"thing": None}}, "nothing": None})
    assert widget["spec"] == {
        "colour": "blue",
        "replicas": 1,
        "inner": {"level": 5},
        "free": {"any": {"thing": None}},
        "nothing": None,
    }
    assert widget["metadata"]["generation"] == 1


def test_unknown_fields_are_named_where_that_is_asked_for(registry: Registry) -> None:
    with pytest.raises(
        ApiError, match=r'strict decoding error: unknown field "spec\.parts\[0\]\.wait", unknown field "spec\.x"'
    ):
        made(registry, {"colour": "blue", "x": 1, "parts": [{"name": "a", "wait": 1}]}, validation="Strict")


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({}, ["spec.colour: Required value"]),
        ({"colour": None}, ["spec.colour: Required value"]),
        ({"colour": "mauve"}, ['spec.colour: Unsupported value: "mauve": supported values: "blue", "red"']),
        (
            {"colour": "blue", "replicas": "x"},
            ['spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"'],
        ),
        (
            {"colour": "blue", "parts": [{"name": "a", "weight": 101}]},
            [
                "spec.parts[0].weight: Invalid value: 101: spec.parts[0].weight in body should be less than or equal "
                "to 100"
            ],
        ),
        ({"colour": "blue", "parts": [{"name": "a"}, {"name": "a"}]}, ['spec.parts[1]: Duplicate value: {"name":"a"}']),
        ({"colour": "red", "replicas": 11}, ["spec.replicas: Invalid value: red is enough"]),
        (
            {"colour": "red", "replicas": 3.0},
            [
                ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: 3 is of the type float64, expected "
                "int64",
                'spec: Invalid value: "object": invalid data, expected int, got float64 evaluating rule: '
                "self.replicas <= 10",
            ],
        ),
    ],
)
def test_what_breaks_the_schema_or_a_rule_is_named(registry: Registry, spec: Any, causes: list[str]) -> None:
    with pytest.raises(ApiError) as caught:
        made(registry, spec)
    assert caught.value.code == 422
    listed = [f"{cause['field']}: {cause['message']}" for cause in (caught.value.details or {})["causes"]]
    assert [text for text in listed if "some validation rules were not checked" not in text] == causes


def test_what_is_unchanged_is_not_looked_at_again(registry: Registry) -> None:
    made(registry, {"colour": "mauve"}, "v1alpha1")  # which knows no enumeration
    assert patched(registry, {"metadata": {"labels": {"a": "b"}}})["spec"]["colour"] == "mauve"
    with pytest.raises(ApiError, match="Unsupported value"):
        patched(registry, {"spec": {"colour": "pink"}})


def test_a_rule_may_compare_with_the_part_of_the_same_key(registry: Registry) -> None:
    made(registry, {"colour": "blue", "parts": [{"name": "a", "weight": 5}, {"name": "b", "weight": 1}]})
    patched(registry, {"spec": {"parts": [{"name": "b", "weight": 2}, {"name": "a", "weight": 6}]}})
    with pytest.raises(ApiError, match=r"spec\.parts\[1\]: Invalid value: only up"):
        patched(registry, {"spec": {"parts": [{"name": "b", "weight": 2}, {"name": "a", "weight": 3}]}})


def test_each_version_shows_the_one_stored_object(registry: Registry) -> None:
    made(registry, {"colour": "blue", "replicas": 3})
    old = registry.get(kind(registry, "v1alpha1"), "lab", "w")
    assert (old["apiVersion"], old["spec"]) == ("lab.example/v1alpha1", {"colour": "blue"})
    assert kind(registry, "v1alpha1") == kind(registry)
    assert [obj["apiVersion"] for obj in registry.store.list(kind(registry))] == ["lab.example/v1"]


def test_two_clusters_have_kinds_of_their_own(registry: Registry) -> None:
    other = Registry(Store())
    assert other.catalog.find("lab.example", "v1", "widgets") is None
    registry.catalog.withdraw("widgets.lab.example")
    assert registry.catalog.find("lab.example", "v1", "widgets") is None


def test_a_status_is_written_by_itself_and_counts_no_generation(registry: Registry) -> None:
    widget = made(registry, {"colour": "blue"})
    assert "status" not in widget
    written = patched(registry, {"spec": {"replicas": 9}, "status": {"replicas": 2}}, subresource="status")
    assert (written["status"], written["spec"]["replicas"]) == ({"replicas": 2, "phase": "New"}, 1)
    assert written["metadata"]["generation"] == 1
    with pytest.raises(
        ApiError, match=r"status\.replicas: Invalid value: \"string\": replicas in body must be of type"
    ):
        patched(registry, {"status": {"replicas": "x"}}, subresource="status")


def test_a_scale_is_where_the_definition_says(registry: Registry) -> None:
    made(registry, {"colour": "blue", "replicas": 3})
    scale = registry.get_scale(kind(registry), "lab", "w")
    assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 3}, {"replicas": 0})
    patched(registry, {"spec": {"replicas": 4}}, subresource="scale")
    assert scale_of(registry.get(kind(registry), "lab", "w"), kind(registry))["spec"] == {"replicas": 4}


def test_an_update_says_which_state_it_is_for(registry: Registry) -> None:
    widget = made(registry, {"colour": "blue"})
    registry.update(kind(registry), "lab", "w", widget)
    del widget["metadata"]["resourceVersion"]
    with pytest.raises(ApiError, match=r"metadata\.resourceVersion: Invalid value: 0: must be specified for an update"):
        registry.update(kind(registry), "lab", "w", widget)


def test_a_strategic_merge_patch_is_for_builtin_kinds_only(registry: Registry) -> None:
    made(registry, {"colour": "blue"})
    with pytest.raises(ApiError) as caught:
        registry.patch(kind(registry), "lab", "w", patch.STRATEGIC, {})
    assert caught.value.code == 415


def test_a_definition_that_goes_takes_no_new_objects(registry: Registry) -> None:
    obj, gone = registry.delete(resources.CUSTOMRESOURCEDEFINITIONS, "", "widgets.lab.example")
    assert (gone, obj["metadata"]["finalizers"]) == (False, [definitions.FINALIZER])
    with pytest.raises(ApiError, match="create not allowed while custom resource definition is terminating"):
        made(registry, {"colour": "blue"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metadata": {"name": "wrong.lab.example"}}, r"must be spec\.names\.plural"),
        ({"group": "k8s.io"}, "protected groups must have approval annotation"),
        ({"schema": {}}, r"spec.versions\[0\].schema.openAPIV3Schema: Required value"),
        (
            {"schema": {"openAPIV3Schema": {"type": "object", "properties": {"a": {"type": "array"}}}}},
            "items: Required value",
        ),
        (
            {"schema": {"openAPIV3Schema": {"type": "object", "properties": {"a": {}}}}},
            "must not be empty for specified",
        ),
    ],
)
def test_definitions_that_are_none_are_refused(change: dict[str, Any], said: str) -> None:
    body = definition()
    if "metadata" in change:
        body["metadata"] = change["metadata"]
    if "group" in change:
        body["spec"]["group"], body["metadata"]["name"] = change["group"], f"widgets.{change['group']}"
    if "schema" in change:
        body["spec"]["versions"][0]["schema"] = change["schema"]
    with pytest.raises(ApiError, match=said):
        Registry(Store()).create(resources.CUSTOMRESOURCEDEFINITIONS, "", body)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.replicas", [3]),
        (".spec.parts[0].name", ["a"]),
        (".spec.parts[*].name", ["a", "b"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".metadata.annotations['a.b/c']", ["x"]),
        (r".metadata.annotations.a\.b/c", ["x"]),
        (".spec.nothing[0].there", []),
    ],
)
def test_a_json_path_finds_what_it_names(path: str, found: list[Any]) -> None:
    obj = {
        "metadata": {"annotations": {"a.b/c": "x"}},
        "spec": {"replicas": 3, "parts": [{"name": "a"}, {"name": "b"}]},
        "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]},
    }
    assert custom.every(obj, path) == found


@pytest.mark.parametrize(
    ("rule", "value", "said"),
    [
        ("self.a == 1", {"a": 1}, []),
        ("self.b == 1", {"a": 1}, ['Invalid value: "object": no such key: b evaluating rule: self.b == 1']),
        ("self.l.isSorted()", {"l": [2, 1]}, ["Invalid value: failed rule: self.l.isSorted()"]),
        ("self.x__dash__y == 'a'", {"x-y": "a"}, []),
        ("self.split('/').size() == 2", "a/b", []),
        ("self.find('[0-9]+') == '12'", "ab12", []),
        ("self.matches('^a$')", "a\n", ["Invalid value: \"a\\n\": failed rule: self.matches('^a$')"]),
    ],
)
def test_rules_are_evaluated(rule: str, value: Any, said: list[str]) -> None:
    properties = (
        {key: {"x-kubernetes-preserve-unknown-fields": True} for key in value} if isinstance(value, dict) else {}
    )
    node = {
        "type": "object" if properties else "string",
        "properties": properties,
        "x-kubernetes-validations": [{"rule": rule}],
    }
    assert [cause.message for cause in rules.check(node, value)] == said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["colour", "replicas", "inner", "parts", "free", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_pruning_and_defaults_are_done_once(value: Any) -> None:
    once, _ = structural.prune(SPEC, value)
    assert structural.prune(SPEC, once) == (once, [])
    filled = structural.default(SPEC, once)
    assert structural.default(SPEC, filled) == filled


@given(JSON)
def test_a_value_that_did_not_change_is_never_wrong(value: Any) -> None:
    assert structural.validate(SPEC, value, value) == []
