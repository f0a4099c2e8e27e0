# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The garbage collector: what an owner leaves behind, by the three ways of deleting."""

from __future__ import annotations

from ..errors import ApiError
from ..registry import Registry
from ..store import Change, Object, Store
from .owners import Index, Key, disown
from .runtime import Controller

#: What a garbage collector's requests take before and after an owner's dependents are free.
_FREED_SECONDS = 0.02


class GarbageCollector(Controller[tuple[str, Key | None]]):
    """Deletes dependents of what is gone (Background), before it goes (Foreground), or frees them (Orphan)."""

    def __init__(self, store: Store, registry: Registry, index: Index) -> None:
        super().__init__(store, registry, "garbage")
        self._index = index
        self._uids: set[str] = set()
        self._freed: set[str] = set()  # owners whose dependents are free, and who go in a moment

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        key = (change.resource, meta.get("namespace", ""), meta["name"])
        if change.type == "DELETED":
            self._uids.discard(meta["uid"])
            self._freed.discard(meta["uid"])
            for dependent, _ in self._index.of(meta["uid"]):
                self._queue.add(("dependent", dependent))
            for owner in meta.get("ownerReferences") or ():
                self._queue.add(("owner", self._owner_key(change, owner)))
            return
        self._uids.add(meta["uid"])
        if change.type == "ADDED" and meta.get("ownerReferences"):
            self._queue.add(("dependent", key))
        if meta.get("deletionTimestamp") and meta.get("finalizers"):
            # It takes a request for each dependent to free them: until then others see that their owner is going.
            self._queue.add_after(("owner", key), _FREED_SECONDS if "orphan" in meta["finalizers"] else 0.0)

    def _owner_key(self, change: Change, owner: Object) -> Key | None:
        for resource in self._registry.catalog.all():
            if (resource.api_version, resource.kind) == (owner["apiVersion"], owner["kind"]):
                namespace = change.object["metadata"].get("namespace", "") if resource.namespaced else ""
                return resource, namespace, owner["name"]
        return None

    def _reconcile(self, item: tuple[str, Key | None]) -> None:
        what, key = item
        obj = self._store.get(*key) if key else None
        if key is None or obj is None:
            return
        if what == "dependent":
            self._collect(key, obj)
        else:
            self._finish(key, obj)

    def _collect(self, key: Key, obj: Object) -> None:
        """Delete a dependent none of whose owners is left."""
        owners = obj["metadata"].get("ownerReferences") or ()
        if owners and not any(owner["uid"] in self._uids for owner in owners):
            self._registry.delete(*key)

    def _finish(self, key: Key, obj: Object) -> None:
        """An owner that waits for its dependents, by its finalizer."""
        finalizers = obj["metadata"].get("finalizers") or []
        uid = obj["metadata"]["uid"]
        dependents = list(self._index.of(uid))
        if "orphan" in finalizers:
            for dependent, _ in dependents:
                self._registry.modify(*dependent, lambda item: disown(item, uid))
            if uid not in self._freed:
                self._freed.add(uid)
                self._queue.add_after(("owner", key), _FREED_SECONDS)
            else:
                self._remove_finalizer(key, "orphan")
        elif "foregroundDeletion" in finalizers:
            blocking = [
                dependent
                for dependent in dependents
                if any(
                    o["uid"] == uid and o.get("blockOwnerDeletion") for o in dependent[1]["metadata"]["ownerReferences"]
                )
            ]
            for dependent, item in dependents:
                if not item["metadata"].get("deletionTimestamp"):
                    try:
                        self._registry.delete(*dependent, propagation="Foreground")
                    except ApiError:
                        continue
            if not blocking:
                self._remove_finalizer(key, "foregroundDeletion")

    def _remove_finalizer(self, key: Key, name: str) -> None:
        def change(obj: Object) -> None:
            obj["metadata"]["finalizers"] = [f for f in obj["metadata"].get("finalizers") or () if f != name]

        self._registry.modify(*key, change)
