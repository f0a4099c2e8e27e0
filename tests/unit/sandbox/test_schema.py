from __future__ import annotations

import pytest
from convoy_sandbox import resources, schema
from convoy_sandbox.errors import ApiError


def deployment(**spec: object) -> dict[str, object]:
    return {"metadata": {"name": "hello"}, "spec": spec}


def test_unknown_fields_are_dropped_and_named() -> None:
    decoded, unknown = schema.decode(resources.DEPLOYMENTS, deployment(replicas=3, replica=3))
    assert decoded["spec"] == {"replicas": 3}
    assert unknown == ["spec.replica"]


def test_what_go_does_not_write_out_is_dropped() -> None:
    decoded, _ = schema.decode(
        resources.DEPLOYMENTS,
        {
            "metadata": {"name": "hello", "annotations": {}, "labels": None},
            "spec": {"paused": False, "replicas": 0, "template": {"spec": {"securityContext": {}, "volumes": []}}},
        },
    )
    assert decoded == {
        "metadata": {"name": "hello"},
        "spec": {"replicas": 0, "template": {"spec": {"securityContext": {}}}},
    }


def test_quantities_take_their_stored_form() -> None:
    container = {"name": "a", "resources": {"limits": {"cpu": 0.2, "memory": "1024Ki"}}}
    decoded, _ = schema.decode(resources.PODS, {"metadata": {}, "spec": {"containers": [container]}})
    assert decoded["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "200m", "memory": "1Mi"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"replicas": "three"},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"template": {"metadata": {"labels": {"app": True}}}},
            "json: cannot unmarshal bool into Go struct field ObjectMeta.spec.template.metadata.labels of type string",
        ),
        (
            {"paused": "yes"},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
    ],
)
def test_a_wrong_type_is_refused_as_go_words_it(spec: dict[str, object], message: str) -> None:
    with pytest.raises(ApiError) as caught:
        schema.decode(resources.DEPLOYMENTS, deployment(**spec))
    assert caught.value.code == 400
    assert caught.value.message == f'Deployment in version "v1" cannot be handled as a Deployment: {message}'


def test_a_kind_without_rules_is_decoded_by_its_schema() -> None:
    stateful_sets = resources.Catalog().find("apps", "v1", "statefulsets")
    assert stateful_sets is not None
    _, unknown = schema.decode(stateful_sets, {"metadata": {"name": "db"}, "spec": {"replicas": 1, "size": 2}})
    assert unknown == ["spec.size"]
