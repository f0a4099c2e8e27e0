# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Namespaces: what each one is given when it is made, and its end."""

from __future__ import annotations

from .. import resources
from ..errors import ApiError
from ..registry import Registry
from ..store import Change, Object, Store
from ..times import timestamp
from .runtime import Controller

_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
INITIAL = ("default", "kube-node-lease", "kube-public", "kube-system")


#: What is said of a namespace that is going once it is empty: condition, reason and message.
_EMPTIED = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    ("NamespaceDeletionContentFailure", "ContentDeleted",
     "All content successfully deleted, may be waiting on finalization"),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
)  # fmt: skip


class NamespaceController(Controller[str]):
    """Gives a namespace its ServiceAccount and CA, and empties one that is deleted before it goes."""

    def __init__(self, store: Store, registry: Registry, ca: str) -> None:
        super().__init__(store, registry, "namespaces")
        self._ca = ca

    def start(self) -> None:
        """Make the namespaces that every cluster has, and follow all of them."""
        super().start()
        for name in INITIAL:
            self._registry.create(resources.NAMESPACES, "", {"metadata": {"name": name}})

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        if change.resource == resources.NAMESPACES:
            self._queue.add(meta["name"])
        elif change.type == "DELETED" and meta.get("namespace"):
            # One thing less in a namespace that is going, or perhaps what every namespace has.
            self._queue.add(meta["namespace"])

    def _reconcile(self, name: str) -> None:
        namespace = self._store.get(resources.NAMESPACES, "", name)
        if namespace is None:
            return
        if namespace["metadata"].get("deletionTimestamp"):
            self._empty(name)
            return
        self._ensure(resources.SERVICEACCOUNTS, name, {"metadata": {"name": "default"}})
        meta = {"name": "kube-root-ca.crt", "annotations": {"kubernetes.io/description": _DESCRIPTION}}
        self._ensure(resources.CONFIGMAPS, name, {"metadata": meta, "data": {"ca.crt": self._ca}})

    def _ensure(self, resource: resources.Resource, namespace: str, obj: Object) -> None:
        if self._store.get(resource, namespace, obj["metadata"]["name"]) is None:
            self._registry.create(resource, namespace, obj, manager="kube-controller-manager")

    def _empty(self, name: str) -> None:
        left = False
        for resource in self._registry.catalog.all():
            if not resource.namespaced:
                continue
            for obj in self._store.list(resource, name):
                if obj["metadata"].get("deletionTimestamp"):
                    left = True
                    continue
                try:
                    _, gone = self._registry.delete(resource, name, obj["metadata"]["name"])
                except ApiError:
                    continue
                left = left or not gone
        if not left:
            self._tell(name)
            self._registry.finalize(name)

    def _tell(self, name: str) -> None:
        """Say that nothing is left of a namespace's content."""
        now = timestamp()
        told = [
            {"type": type_, "status": "False", "lastTransitionTime": now, "reason": reason, "message": message}
            for type_, reason, message in _EMPTIED
        ]
        self._registry.modify(
            resources.NAMESPACES, "", name, lambda obj: obj["status"].update(conditions=told),
            subresource="status", manager="kube-controller-manager",
        )  # fmt: skip
