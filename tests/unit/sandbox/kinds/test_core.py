"""The small kinds, and the metadata that all kinds have."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.errors import ApiError
from convoy_sandbox.registry import Registry
from convoy_sandbox.resources import Resource
from convoy_sandbox.store import Store


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    return registry


def create(registry: Registry, resource: Resource, meta: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
    namespace = "lab" if resource.namespaced else ""
    return registry.create(resource, namespace, {"metadata": {"name": "a", **(meta or {})}, **body})


def refused(registry: Registry, resource: Resource, meta: dict[str, Any] | None = None, **body: Any) -> str:
    with pytest.raises(ApiError) as caught:
        create(registry, resource, meta, **body)
    assert caught.value.code == 422, caught.value.message
    return caught.value.message.partition(" is invalid: ")[2]


def test_a_namespace_is_labelled_with_its_name(registry: Registry) -> None:
    namespace = create(registry, resources.NAMESPACES, {"labels": {"team": "x"}})
    assert namespace["metadata"]["labels"] == {"team": "x", "kubernetes.io/metadata.name": "a"}
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace["status"] == {"phase": "Active"}


def test_a_config_map_has_keys_that_can_be_file_names(registry: Registry) -> None:
    text = refused(registry, resources.CONFIGMAPS, data={"a/b": "x"})
    assert text.startswith('data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric')


@pytest.mark.parametrize("resource", [resources.CONFIGMAPS, resources.SECRETS])
def test_what_is_immutable_stays(registry: Registry, resource: Resource) -> None:
    create(registry, resource, data={"a": "eA=="}, immutable=True)
    with pytest.raises(ApiError, match="data: Forbidden: field is immutable when `immutable` is set"):
        registry.patch(resource, "lab", "a", patch.MERGE, {"data": {"a": "eQ=="}})
    with pytest.raises(ApiError, match="immutable: Forbidden: field is immutable when `immutable` is set"):
        registry.patch(resource, "lab", "a", patch.MERGE, {"immutable": None})
    registry.patch(resource, "lab", "a", patch.MERGE, {"metadata": {"labels": {"b": "c"}}})


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("!!!!", 0),
        ("abcd!", 4),
        ("abc", 0),
        ("abcda", 4),
        ("abcd\n", None),
        ("YQ==", None),
        ("YQ==YQ==", 4),
        ("Y===", 1),
        ("", None),
    ],
)
def test_data_that_is_not_base64(registry: Registry, value: str, at: int | None) -> None:
    if at is None:
        assert create(registry, resources.SECRETS, data={"k": value})["data"] == {"k": value}
        return
    with pytest.raises(ApiError) as caught:
        create(registry, resources.SECRETS, data={"k": value})
    assert caught.value.code == 400
    assert caught.value.message == (
        f'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte {at}'
    )


def test_a_tls_secret_has_both_its_halves(registry: Registry) -> None:
    assert refused(registry, resources.SECRETS, type="kubernetes.io/tls", data={"tls.crt": "eA=="}) == (
        "data[tls.key]: Required value"
    )


def test_the_type_of_a_secret_stays(registry: Registry) -> None:
    assert create(registry, resources.SECRETS)["type"] == "Opaque"
    with pytest.raises(ApiError, match='type: Invalid value: "other": field is immutable'):
        registry.patch(resources.SECRETS, "lab", "a", patch.MERGE, {"type": "other"})


@pytest.mark.parametrize(
    ("resource", "body", "message"),
    [
        (
            resources.EVENTS,
            {"involvedObject": {"namespace": "other"}},
            'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
        ),
        (
            resources.RESOURCEQUOTAS,
            {"spec": {"hard": {"pods": "-1"}}},
            'spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0',
        ),
        (
            resources.PODDISRUPTIONBUDGETS,
            {"spec": {"minAvailable": 1, "maxUnavailable": 1}},
            'spec: Invalid value: {"MinAvailable":1,"Selector":null,"MaxUnavailable":1,'
            '"UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set',
        ),
        (
            resources.LEASES,
            {"spec": {"leaseDurationSeconds": 0}},
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            resources.ENDPOINTSLICES,
            {"addressType": "IPX", "endpoints": []},
            'addressType: Unsupported value: "IPX": supported values: "FQDN", "IPv4", "IPv6"',
        ),
    ],
)
def test_a_small_kind_that_is_refused(
    registry: Registry, resource: Resource, body: dict[str, Any], message: str
) -> None:
    assert refused(registry, resource, **body) == message


OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"}


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"name": ""}, "metadata.name: Required value: name or generateName is required"),
        (
            {"labels": {"a": "x" * 64}},
            f'metadata.labels: Invalid value: "{"x" * 64}": must be no more than 63 characters',
        ),
        (
            {"ownerReferences": [{**OWNER, "uid": ""}]},
            "metadata.ownerReferences[0].uid: Required value: must not be empty",
        ),
        (
            {"annotations": {"a": "x" * 2**18}},
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
    ],
)
def test_metadata_that_is_refused(registry: Registry, meta: dict[str, Any], message: str) -> None:
    assert refused(registry, resources.CONFIGMAPS, meta) == message


def test_only_one_owner_controls(registry: Registry) -> None:
    owners = [{**OWNER, "controller": True}, {**OWNER, "name": "p", "controller": True}]
    assert refused(registry, resources.CONFIGMAPS, {"ownerReferences": owners}).endswith(
        'Only one reference can have Controller set to true. Found "true" in references for ConfigMap/o and ConfigMap/p'
    )


def test_an_update_names_its_object(registry: Registry) -> None:
    create(registry, resources.CONFIGMAPS)
    for body in ({}, {"metadata": {}}):
        with pytest.raises(ApiError, match=r"the name of the object \(a based on URL\) was undeterminable") as caught:
            registry.update(resources.CONFIGMAPS, "lab", "a", body)
        assert caught.value.code == 400


@pytest.mark.parametrize("body", [None, [], 1, "text"])
def test_a_body_that_is_no_object_is_refused(registry: Registry, body: Any) -> None:
    for call in (
        lambda: registry.create(resources.CONFIGMAPS, "lab", body),
        lambda: registry.patch(resources.CONFIGMAPS, "lab", "a", patch.APPLY, body),
    ):
        with pytest.raises(ApiError, match="it must be an object") as caught:
            call()
        assert caught.value.code == 400


def test_what_is_applied_has_to_fit_the_schema(registry: Registry) -> None:
    body = {"metadata": {"namespace": "lab"}, "datum": {}, "spec": {}}
    with pytest.raises(ApiError) as caught:
        registry.patch(resources.CONFIGMAPS, "lab", "a", patch.APPLY, body, validation="Ignore")
    assert (caught.value.code, caught.value.message) == (
        500,
        "failed to create typed patch object (lab/; /v1, Kind=ConfigMap): errors:\n"
        "  .datum: field not declared in schema\n  .spec: field not declared in schema",
    )
