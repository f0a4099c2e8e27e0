"""Which resources the API server knows: what discovery lists, read from `discovery.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One resource of one group and version, as discovery describes it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = field(default="", compare=False)
    verbs: tuple[str, ...] = field(default=(), compare=False)
    short_names: tuple[str, ...] = field(default=(), compare=False)
    categories: tuple[str, ...] = field(default=(), compare=False)
    subresources: tuple[dict[str, Any], ...] = field(default=(), compare=False, hash=False)

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`: what objects carry as apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`pods`, `deployments.apps`: how messages name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _load() -> dict[tuple[str, str, str], Resource]:
    data = json.loads(files(__package__).joinpath("discovery.json").read_text())
    found: dict[tuple[str, str, str], Resource] = {}
    for group in data["groups"]:
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
                )
                found[resource.group, resource.version, resource.plural] = resource
    return found


RESOURCES = _load()


def find(group: str, version: str, plural: str) -> Resource | None:
    """The resource at /apis/GROUP/VERSION/PLURAL, or None."""
    return RESOURCES.get((group, version, plural))


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
ENDPOINTSLICES = RESOURCES["discovery.k8s.io", "v1", "endpointslices"]
HORIZONTALPODAUTOSCALERS = RESOURCES["autoscaling", "v2", "horizontalpodautoscalers"]
LEASES = RESOURCES["coordination.k8s.io", "v1", "leases"]
ROLES = RESOURCES["rbac.authorization.k8s.io", "v1", "roles"]
CLUSTERROLES = RESOURCES["rbac.authorization.k8s.io", "v1", "clusterroles"]
ROLEBINDINGS = RESOURCES["rbac.authorization.k8s.io", "v1", "rolebindings"]
CLUSTERROLEBINDINGS = RESOURCES["rbac.authorization.k8s.io", "v1", "clusterrolebindings"]
PODDISRUPTIONBUDGETS = RESOURCES["policy", "v1", "poddisruptionbudgets"]
JOBS = RESOURCES["batch", "v1", "jobs"]
CRONJOBS = RESOURCES["batch", "v1", "cronjobs"]
PRIORITYCLASSES = RESOURCES["scheduling.k8s.io", "v1", "priorityclasses"]
RUNTIMECLASSES = RESOURCES["node.k8s.io", "v1", "runtimeclasses"]
INGRESSES = RESOURCES["networking.k8s.io", "v1", "ingresses"]
