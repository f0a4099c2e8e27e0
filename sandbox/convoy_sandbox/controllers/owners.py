# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who owns an object, and an index from owners to what they own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..registry import Registry
from ..resources import Resource
from ..selectors import labels_of, matches
from ..store import Change, Object, Store

Key = tuple[Resource, str, str]  # resource, namespace, name


def is_orphaning(obj: Object) -> bool:
    """Whether an owner is about to go and leave its dependents behind: it makes none any more."""
    return bool(obj["metadata"].get("deletionTimestamp")) and "orphan" in (obj["metadata"].get("finalizers") or ())


def controller_of(obj: Object) -> Object | None:
    """The owner reference of the controller of an object."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            found: Object = owner
            return found
    return None


def owned_by(obj: Object, uid: str) -> bool:
    """Whether an object's controller has this uid."""
    owner = controller_of(obj)
    return owner is not None and owner["uid"] == uid


def owner_reference(owner: Object) -> Object:
    """The reference by which a controller owns an object."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def disown(obj: Object, uid: str) -> None:
    """Take an owner from an object."""
    left = [owner for owner in obj["metadata"].pop("ownerReferences", None) or () if owner["uid"] != uid]
    if left:
        obj["metadata"]["ownerReferences"] = left


def claim(registry: Registry, resource: Resource, owner: Object, candidates: Iterable[Object]) -> None:
    """Adopt what the owner's selector picks and nobody controls, and let go of what it no longer picks."""
    uid, selector = owner["metadata"]["uid"], owner["spec"]["selector"]
    if owner["metadata"].get("deletionTimestamp"):
        return
    for obj in candidates:
        meta, controller = obj["metadata"], controller_of(obj)
        picked = matches(selector, labels_of(obj))
        if controller is None and picked and not meta.get("deletionTimestamp"):
            registry.modify(
                resource, meta["namespace"], meta["name"],
                lambda it: it["metadata"].setdefault("ownerReferences", []).append(owner_reference(owner)),
                manager="kube-controller-manager",
            )  # fmt: skip
        elif controller is not None and controller["uid"] == uid and not picked:
            registry.modify(
                resource, meta["namespace"], meta["name"], lambda it: disown(it, uid),
                manager="kube-controller-manager",
            )  # fmt: skip


def may_be_adopted(change: Change) -> bool:
    """Whether an object that nobody controls is new to that, or has other labels."""
    if controller_of(change.object) is not None or change.type == "DELETED":
        return False
    old = change.old
    return old is None or controller_of(old) is not None or labels_of(old) != labels_of(change.object)


def concerned(store: Store, owners: Resource, kind: str, change: Change) -> list[tuple[str, str]]:
    """Namespace and name of each owner of a kind that a changed object belongs to, or that may adopt it."""
    namespace, owner = change.object["metadata"]["namespace"], controller_of(change.object)
    if owner is not None:
        return [(namespace, owner["name"])] if owner["kind"] == kind else []
    if not may_be_adopted(change):
        return []
    return [
        (namespace, candidate["metadata"]["name"])
        for candidate in store.list(owners, namespace)
        if matches(candidate["spec"]["selector"], labels_of(change.object))
    ]


class Index:
    """The objects of each owner, kept as the store changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owned: dict[str, dict[Key, None]] = {}
        self._close = store.subscribe(self._changed)

    def close(self) -> None:
        """Stop following the store."""
        self._close()

    def of(self, uid: str, resource: Resource | None = None) -> Iterator[tuple[Key, Object]]:
        """The objects, of one resource or of all, that name this uid as an owner."""
        for key in list(self._owned.get(uid, ())):
            if resource is None or key[0] == resource:
                obj = self._store.get(*key)
                if obj is not None:
                    yield key, obj

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        key = (change.resource, meta.get("namespace", ""), meta["name"])
        before = {o["uid"] for o in ((change.old or {}).get("metadata") or {}).get("ownerReferences") or ()}
        after = set()
        if change.type != "DELETED":
            after = {o["uid"] for o in meta.get("ownerReferences") or ()}
        for uid in before - after:
            self._owned.get(uid, {}).pop(key, None)
            if not self._owned.get(uid):
                self._owned.pop(uid, None)
        for uid in after - before:
            self._owned.setdefault(uid, {})[key] = None
