"""Discovery and OpenAPI: what clients learn before they ask for anything."""

from __future__ import annotations

import json
from typing import Any

from convoy_sandbox import resources
from convoy_sandbox.api import discovery, openapi

CATALOG = resources.Catalog()
GROUPS = CATALOG.groups()


def references(node: Any) -> set[str]:
    """Every $ref below a node."""
    if isinstance(node, list):
        return set().union(*map(references, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return found.union(*(references(value) for value in node.values()))


def test_both_forms_of_discovery_list_the_same_resources() -> None:
    aggregated = {
        (group["metadata"].get("name", ""), version["version"], resource["resource"])
        for core in (True, False)
        for group in discovery.aggregated(GROUPS, core=core)["items"]
        for version in group["versions"]
        for resource in version["resources"]
    }
    plain = set()
    for group, version in {(group, version) for group, version, _ in aggregated}:
        document = discovery.api_resources(GROUPS, group, version)
        assert document is not None
        plain |= {(group, version, r["name"]) for r in document["resources"] if "/" not in r["name"]}
    assert plain == aggregated == set(resources.RESOURCES)


def test_plain_discovery_names_subresources_and_their_kinds() -> None:
    document = discovery.api_resources(GROUPS, "apps", "v1")
    assert document is not None
    by_name = {entry["name"]: entry for entry in document["resources"]}
    assert by_name["deployments"]["shortNames"] == ["deploy"]
    assert by_name["deployments/scale"] == {
        "name": "deployments/scale",
        "singularName": "",
        "namespaced": True,
        "group": "autoscaling",
        "version": "v1",
        "kind": "Scale",
        "verbs": ["get", "patch", "update"],
    }


def test_groups_are_found_one_by_one() -> None:
    names = [group["name"] for group in discovery.api_groups(GROUPS)["groups"]]
    assert "apps" in names
    assert "" not in names
    group = discovery.api_group(GROUPS, "apps")
    assert group is not None
    assert group["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert discovery.api_group(GROUPS, "nothing") is None
    assert discovery.api_group(GROUPS, "") is None
    assert discovery.api_resources(GROUPS, "apps", "v9") is None


def test_every_group_and_version_has_an_openapi_document() -> None:
    index = openapi.index(CATALOG)["paths"]
    assert index["apis/apps/v1"]["serverRelativeURL"].startswith("/openapi/v3/apis/apps/v1?hash=")
    for path in index:
        assert openapi.document(path, CATALOG) is not None, path
    assert openapi.document("apis/nothing/v1", CATALOG) is None


def test_an_openapi_document_is_whole() -> None:
    text = openapi.document("apis/apps/v1", CATALOG)
    assert text is not None
    document = json.loads(text)
    schemas = document["components"]["schemas"]
    missing = {ref for ref in references(document) if ref.removeprefix("#/components/schemas/") not in schemas}
    assert missing == set()
    kind = {"group": "apps", "version": "v1", "kind": "Deployment"}
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == kind
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    deployment = schemas["io.k8s.api.apps.v1.Deployment"]
    assert kind in deployment["x-kubernetes-group-version-kind"]
    # OpenAPI 3.0 knows no lists of types.
    assert '"type": ["' not in text.decode()
