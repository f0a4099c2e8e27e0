# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which resources the API server knows: what discovery lists, read from `discovery.json`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Custom:
    """What a definition says of one version of its resource, beside what discovery shows.

    `schema` is a structural one; `columns` and `scale` are as in the definition, `selectable` are dotted paths.
    """

    definition: str
    list_kind: str
    schema: dict[str, Any]
    columns: tuple[dict[str, Any], ...]
    selectable: tuple[str, ...]
    scale: dict[str, Any] | None
    has_status: bool
    served: bool
    storage: bool
    stored_version: str
    deprecation: str


@dataclass(frozen=True)
class Resource:
    """One resource of one group and version, as discovery describes it.

    Versions that show the same objects are equal; `objects` tells those apart that do not.
    """

    group: str
    version: str = field(compare=False)
    plural: str
    kind: str = field(compare=False)
    namespaced: bool = field(compare=False)
    singular: str = field(default="", compare=False)
    verbs: tuple[str, ...] = field(default=(), compare=False)
    short_names: tuple[str, ...] = field(default=(), compare=False)
    categories: tuple[str, ...] = field(default=(), compare=False)
    subresources: tuple[dict[str, Any], ...] = field(default=(), compare=False)
    custom: Custom | None = field(default=None, compare=False)
    objects: str = ""

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`: what objects carry as apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`pods`, `deployments.apps`: how messages name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


Document = dict[str, Any]


@cache
def builtin_groups() -> list[Document]:
    """The groups of Kubernetes' own resources, as aggregated discovery has them."""
    data = json.loads(files(__package__).joinpath("discovery.json").read_text())
    groups: list[Document] = data["groups"]
    return groups


def _load() -> dict[tuple[str, str, str], Resource]:
    found: dict[tuple[str, str, str], Resource] = {}
    for group in builtin_groups():
        for version in group["versions"]:
            for entry in version["resources"]:
                resource = Resource(
                    group=group["name"],
                    version=version["version"],
                    plural=entry["resource"],
                    kind=entry["kind"],
                    namespaced=entry["namespaced"],
                    singular=entry["singular"],
                    verbs=tuple(entry["verbs"]),
                    short_names=tuple(entry.get("shortNames", ())),
                    categories=tuple(entry.get("categories", ())),
                    subresources=tuple(entry.get("subresources", ())),
                    objects=version["version"],
                )
                found[resource.group, resource.version, resource.plural] = resource
    return found


RESOURCES = _load()


class Catalog:
    """The resources of one cluster: Kubernetes' own, and those of its definitions, which come and go."""

    def __init__(self) -> None:
        self._custom: dict[str, list[Resource]] = {}
        #: Counts the changes, for what is kept of a catalog.
        self.revision = 0

    def serve(self, definition: str, versions: list[Resource]) -> None:
        """Serve the versions of a definition's resource from now on."""
        if self._custom.get(definition) == versions and all(
            new.custom == old.custom for new, old in zip(versions, self._custom[definition], strict=True)
        ):
            return
        self._custom[definition] = versions
        self.revision += 1

    def withdraw(self, definition: str) -> None:
        """Serve a definition's resource no more."""
        if self._custom.pop(definition, None) is not None:
            self.revision += 1

    def of(self, definition: str) -> list[Resource]:
        """The versions of a definition's resource; empty where it is not served."""
        return self._custom.get(definition, [])

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at /apis/GROUP/VERSION/PLURAL, or None."""
        found = RESOURCES.get((group, version, plural))
        if found is None and group:
            found = next(
                (
                    each
                    for each in self._custom.get(f"{plural}.{group}", ())
                    if each.version == version and each.custom is not None and each.custom.served
                ),
                None,
            )
        return found

    def stored_as(self, resource: Resource) -> Resource:
        """The version of a resource that its objects are stored in."""
        if resource.custom is None:
            return resource
        versions = self.of(resource.custom.definition)
        return next((each for each in versions if each.custom is not None and each.custom.storage), resource)

    def all(self) -> Iterator[Resource]:
        """Every resource of every version."""
        yield from RESOURCES.values()
        for versions in self._custom.values():
            yield from versions

    def groups(self) -> list[Document]:
        """All groups that are served, as aggregated discovery has them: those of definitions last."""
        groups: dict[str, dict[str, list[Document]]] = {}
        for versions in self._custom.values():
            for resource in versions:
                if resource.custom is not None and resource.custom.served:
                    entries = groups.setdefault(resource.group, {}).setdefault(resource.version, [])
                    entries.append(_entry(resource, resource.custom))
        found: list[Document] = [
            {
                "name": name,
                "versions": [
                    {"version": version, "resources": sorted(entries, key=lambda each: str(each["resource"]))}
                    for version, entries in sorted(groups[name].items(), key=lambda each: _priority(each[0]))
                ],
            }
            for name in sorted(groups)
        ]
        return builtin_groups() + found


def _entry(resource: Resource, custom: Custom) -> Document:
    entry: Document = {
        "resource": resource.plural,
        "kind": resource.kind,
        "namespaced": resource.namespaced,
        "singular": resource.singular,
        "verbs": list(resource.verbs),
        "storageVersionHash": base64.b64encode(
            hashlib.sha256(f"{resource.group}/{custom.stored_version}/{resource.kind}".encode()).digest()[:8]
        ).decode(),
    }
    for key, value in (
        ("shortNames", resource.short_names),
        ("categories", resource.categories),
        ("subresources", resource.subresources),
    ):
        if value:
            entry[key] = list(value)
    return {"custom": True, **entry}


def _priority(version: str) -> tuple[Any, ...]:
    """How versions are sorted: stable ones first, the newest of each first, those of other forms last."""
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return (1, version)
    major, stage, minor = match.groups()
    return (0, {"": 0, "beta": 1, "alpha": 2}[stage or ""], -int(major), -int(minor or 0))


NAMESPACES = RESOURCES["", "v1", "namespaces"]
NODES = RESOURCES["", "v1", "nodes"]
PODS = RESOURCES["", "v1", "pods"]
SERVICES = RESOURCES["", "v1", "services"]
CONFIGMAPS = RESOURCES["", "v1", "configmaps"]
SECRETS = RESOURCES["", "v1", "secrets"]
SERVICEACCOUNTS = RESOURCES["", "v1", "serviceaccounts"]
EVENTS = RESOURCES["", "v1", "events"]
RESOURCEQUOTAS = RESOURCES["", "v1", "resourcequotas"]
PERSISTENTVOLUMECLAIMS = RESOURCES["", "v1", "persistentvolumeclaims"]
LIMITRANGES = RESOURCES["", "v1", "limitranges"]
DEPLOYMENTS = RESOURCES["apps", "v1", "deployments"]
REPLICASETS = RESOURCES["apps", "v1", "replicasets"]
STATEFULSETS = RESOURCES["apps", "v1", "statefulsets"]
DAEMONSETS = RESOURCES["apps", "v1", "daemonsets"]
CONTROLLERREVISIONS = RESOURCES["apps", "v1", "controllerrevisions"]
ENDPOINTS = RESOURCES["", "v1", "endpoints"]
ENDPOINTSLICES = RESOURCES["discovery.k8s.io", "v1", "endpointslices"]
HORIZONTALPODAUTOSCALERS = RESOURCES["autoscaling", "v2", "horizontalpodautoscalers"]
LEASES = RESOURCES["coordination.k8s.io", "v1", "leases"]
ROLES = RESOURCES["rbac.authorization.k8s.io", "v1", "roles"]
CLUSTERROLES = RESOURCES["rbac.authorization.k8s.io", "v1", "clusterroles"]
ROLEBINDINGS = RESOURCES["rbac.authorization.k8s.io", "v1", "rolebindings"]
CLUSTERROLEBINDINGS = RESOURCES["rbac.authorization.k8s.io", "v1", "clusterrolebindings"]
CUSTOMRESOURCEDEFINITIONS = RESOURCES["apiextensions.k8s.io", "v1", "customresourcedefinitions"]
PODDISRUPTIONBUDGETS = RESOURCES["policy", "v1", "poddisruptionbudgets"]
JOBS = RESOURCES["batch", "v1", "jobs"]
CRONJOBS = RESOURCES["batch", "v1", "cronjobs"]
PRIORITYCLASSES = RESOURCES["scheduling.k8s.io", "v1", "priorityclasses"]
RUNTIMECLASSES = RESOURCES["node.k8s.io", "v1", "runtimeclasses"]
INGRESSES = RESOURCES["networking.k8s.io", "v1", "ingresses"]
INGRESSCLASSES = RESOURCES["networking.k8s.io", "v1", "ingressclasses"]
