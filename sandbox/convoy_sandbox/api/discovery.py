# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the API server says it has: the plain discovery documents and the aggregated ones."""

from __future__ import annotations

from typing import Any

from .. import schema

Document = dict[str, Any]

VERSION: Document = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": f"v{schema.VERSION}",
    "gitCommit": "$Format:%H$",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.27.3",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def api_versions(server: str) -> Document:
    """GET /api."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}],
    }


def _group(group: Document) -> Document:
    versions = [
        {"groupVersion": f"{group['name']}/{entry['version']}", "version": entry["version"]}
        for entry in group["versions"]
    ]
    return {"name": group["name"], "versions": versions, "preferredVersion": versions[0]}


def api_groups(groups: list[Document]) -> Document:
    """GET /apis."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(group) for group in groups if group["name"]],
    }


def api_group(groups: list[Document], name: str) -> Document | None:
    """GET /apis/GROUP."""
    for group in groups:
        if name and group["name"] == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}
    return None


def api_resources(groups: list[Document], group_name: str, version: str) -> Document | None:
    """GET /api/v1 and /apis/GROUP/VERSION."""
    for group in groups:
        for entry in group["versions"]:
            if (group["name"], entry["version"]) == (group_name, version):
                return _resource_list(f"{group_name}/{version}" if group_name else version, entry["resources"])
    return None


def _resource_list(group_version: str, entries: list[Document]) -> Document:
    resources: list[Document] = []
    for entry in entries:
        listed = {
            "name": entry["resource"],
            "singularName": entry["singular"],
            "namespaced": entry["namespaced"],
            "kind": entry["kind"],
            "verbs": entry["verbs"],
        }
        for key in ("shortNames", "categories", "storageVersionHash"):
            if key in entry:
                listed[key] = entry[key]
        resources.append(listed)
        for sub in entry.get("subresources", ()):
            kind = sub["responseKind"]
            listed = {
                "name": f"{entry['resource']}/{sub['subresource']}",
                "singularName": "",
                "namespaced": entry["namespaced"],
                "kind": kind["kind"],
                "verbs": sub["verbs"],
            }
            if kind.get("group") and kind["kind"] != entry["kind"]:
                listed["group"] = kind["group"]
            if kind.get("version") and kind["kind"] != entry["kind"]:
                listed["version"] = kind["version"]
            resources.append(listed)
    head: Document = {"kind": "APIResourceList"}
    if "/" in group_version:
        head["apiVersion"] = "v1"
    return {**head, "groupVersion": group_version, "resources": resources}


def aggregated(groups: list[Document], *, core: bool) -> Document:
    """GET /api and /apis as an APIGroupDiscoveryList."""
    items = []
    for group in groups:
        if bool(group["name"]) == core:
            continue
        versions = [
            {
                "version": entry["version"],
                "resources": [
                    _aggregated_resource(resource, group["name"], entry["version"]) for resource in entry["resources"]
                ],
                "freshness": "Current",
            }
            for entry in group["versions"]
        ]
        items.append({"metadata": {"name": group["name"]} if group["name"] else {}, "versions": versions})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_resource(entry: Document, group: str, version: str) -> Document:
    # Kubernetes' own resources say nothing of the group and the version of their kind, those of definitions do.
    kind = {"group": group, "version": version} if entry.get("custom") else {"group": "", "version": ""}
    resource = {
        "resource": entry["resource"],
        "responseKind": {**kind, "kind": entry["kind"]},
        "scope": "Namespaced" if entry["namespaced"] else "Cluster",
        "singularResource": entry["singular"],
        "verbs": entry["verbs"],
    }
    for key in ("shortNames", "categories", "subresources"):
        if key in entry:
            resource[key] = entry[key]
    return resource
