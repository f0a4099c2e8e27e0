"""The form of kubectl explain, of a document as the API server writes it."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _explain
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Object = dict[str, t.Any]
KIND = {"group": "apps", "version": "v1", "kind": "Deployment"}


def ref(name: str) -> Object:
    """A reference."""
    return {"$ref": f"#/components/schemas/io.k8s.{name}"}


SCHEMAS: Object = {
    "Deployment": {
        "type": "object",
        "description": "Deployment enables declarative updates.",
        "properties": {
            "kind": {"type": "string", "description": "The kind."},
            "spec": {"allOf": [ref("DeploymentSpec")], "default": {}, "description": "What is wanted."},
            "tree": ref("Tree"),
        },
        "x-kubernetes-group-version-kind": [KIND],
    },
    "DeploymentSpec": {
        "type": "object",
        "description": "DeploymentSpec is the specification.",
        "required": ["containers"],
        "properties": {
            "containers": {"type": "array", "items": {"allOf": [ref("Container")]}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "maxSurge": ref("IntOrString"),
            "policy": {"type": "string", "enum": ["", "A", "B", "C", "D"], "description": "word " * 30},
            "replicas": {"type": "integer", "externalDocs": {"description": "More.", "url": "https://k8s.io"}},
        },
    },
    "Container": {"type": "object", "properties": {"image": {"type": "string"}}},
    "IntOrString": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    "Tree": {"type": "object", "properties": {"leaf": {"type": "string"}, "tree": ref("Tree")}},
}
DOCUMENT: Object = {"components": {"schemas": {f"io.k8s.{name}": schema for name, schema in SCHEMAS.items()}}}


def explained(path: str, recursive: bool = False) -> Object:
    """What is said of a path."""
    return _explain.explain(DOCUMENT, KIND, path.split(".") if path else [], recursive)


def test_a_field_as_kubectl_prints_it() -> None:
    assert explained("spec.policy")["lines"] == [
        "GROUP:      apps",
        "KIND:       Deployment",
        "VERSION:    v1",
        "",
        "FIELD: policy <string>",
        "ENUM:",
        '    ""',
        "    A",
        "    B",
        "    C",
        "    D",
        "",
        "DESCRIPTION:",
        "    " + "word " * 14 + "word",
        "    " + "word " * 14 + "word",
    ]


def test_the_fields_of_an_object_with_what_they_mean() -> None:
    said = explained("spec")
    assert said["lines"][4:] == [
        "FIELD: spec <DeploymentSpec>",
        "",
        "",
        "DESCRIPTION:",
        "    What is wanted.",
        "    DeploymentSpec is the specification.",
        "",
        "FIELDS:",
        "  containers\t<[]Container> -required-",
        "    <no description>",
        "",
        "  labels\t<map[string]string>",
        "    <no description>",
        "",
        "  maxSurge\t<IntOrString>",
        "    <no description>",
        "",
        "  policy\t<string>",
        '  enum: "", A, B, C, ....',
        "    " + "word " * 14 + "word",
        "    " + "word " * 14 + "word",
        "",
        "  replicas\t<integer>",
        "    <no description>",
        "",
        "    EXTERNAL DOCS:",
        "        More.",
        "        URL: https://k8s.io",
    ]
    assert (said["type"], said["field"]) == ("DeploymentSpec", "spec")
    assert [(field["name"], field["required"]) for field in said["fields"]][:2] == [
        ("containers", True),
        ("labels", False),
    ]


def test_fields_of_fields_end_where_a_schema_contains_itself() -> None:
    assert explained("", recursive=True)["lines"][3:] == [
        "",
        "DESCRIPTION:",
        "    Deployment enables declarative updates.",
        "",
        "FIELDS:",
        "  kind\t<string>",
        "  spec\t<DeploymentSpec>",
        "    containers\t<[]Container> -required-",
        "      image\t<string>",
        "    labels\t<map[string]string>",
        "    maxSurge\t<IntOrString>",
        "    policy\t<string>",
        '    enum: "", A, B, C, ....',
        "    replicas\t<integer>",
        "  tree\t<Tree>",
        "    leaf\t<string>",
        "    tree\t<Tree>",
    ]


def test_a_path_leads_through_lists() -> None:
    assert explained("spec.containers.image")["type"] == "string"
    assert explained("tree.tree.tree.leaf")["type"] == "string"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("spec.replica", "Deployment.spec has no field 'replica'; similar names: replicas, policy."),
        (
            "spec.containers.nothing",
            "Deployment.spec.containers has no field 'nothing'; there are image.",
        ),
        ("spec.replicas.x", "Deployment.spec.replicas is of type integer and has no fields, so not 'x' either."),
        ("spec.labels.x", "Deployment.spec.labels is of type map[string]string and has no fields, so not 'x' either."),
    ],
)
def test_a_field_that_is_not_there(path: str, message: str) -> None:
    with pytest.raises(Failure) as failure:
        explained(path)
    assert failure.value.message == message


def test_a_kind_that_the_document_does_not_describe() -> None:
    with pytest.raises(Failure, match=r"describes no fields of Pod .* core/v1"):
        _explain.explain(DOCUMENT, {"group": "", "version": "v1", "kind": "Pod"}, [], False)
