# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ControllerRevisions of StatefulSets and DaemonSets: each template once, numbered as it came into use."""

from __future__ import annotations

from collections.abc import Iterable

from .. import documents, resources
from ..errors import ApiError
from ..registry import Registry
from ..store import Object, Store
from .deployment import template_hash, without_hash
from .owners import Index, claim, owned_by, owner_reference

#: The label by which pods say of which revision they are.
REVISION_LABEL = "controller-revision-hash"
#: Where StatefulSets keep the hash of a revision; its pods carry the revision's whole name.
_HASH_LABEL = "controller.kubernetes.io/hash"


def template_of(revision: Object) -> Object:
    """The pod template that a ControllerRevision holds."""
    template = revision["data"]["spec"]["template"]
    return documents.copied({key: value for key, value in template.items() if key != "$patch"})


class Revisions:
    """The history of one kind of workload; `hash_label` is where its revisions carry their hash."""

    def __init__(self, store: Store, registry: Registry, index: Index, hash_label: str = _HASH_LABEL) -> None:
        self._store = store
        self._registry = registry
        self._index = index
        self._hash_label = hash_label

    def of(self, owner: Object) -> list[Object]:
        """A workload's revisions, the oldest first; those that nobody has and its selector picks become its own."""
        meta = owner["metadata"]
        candidates = self._store.list(resources.CONTROLLERREVISIONS, meta["namespace"])
        claim(self._registry, resources.CONTROLLERREVISIONS, owner, candidates)
        found = [obj for _, obj in self._index.of(meta["uid"], resources.CONTROLLERREVISIONS)]
        return sorted((obj for obj in found if owned_by(obj, meta["uid"])), key=lambda obj: obj["revision"])

    def update(self, owner: Object, known: list[Object]) -> Object:
        """The revision of a workload's present template; it is made, or becomes the newest one, where it is not.

        Raises ApiError 409 where another object has the name; the collision count of the status tells how
        often that was so.
        """
        newest = known[-1]["revision"] if known else 0
        template = without_hash(owner["spec"]["template"])
        equal = [obj for obj in known if without_hash(template_of(obj)) == template]
        if not equal:
            return self._create(owner, newest + 1)
        latest = equal[-1]
        if latest["revision"] == newest:
            return latest
        meta = latest["metadata"]
        return self._registry.modify(
            resources.CONTROLLERREVISIONS, meta["namespace"], meta["name"],
            lambda obj: obj.update(revision=newest + 1), manager="kube-controller-manager",
        )  # fmt: skip

    def _create(self, owner: Object, number: int) -> Object:
        meta, template = owner["metadata"], owner["spec"]["template"]
        hashed = template_hash(template, (owner.get("status") or {}).get("collisionCount") or 0)
        annotations = dict(meta.get("annotations") or {})
        body: Object = {
            "metadata": {
                "name": f"{meta['name']}-{hashed}",
                "labels": {**(template["metadata"].get("labels") or {}), self._hash_label: hashed},
                **({"annotations": annotations} if annotations else {}),
                "ownerReferences": [owner_reference(owner)],
            },
            "data": {"spec": {"template": {**documents.copied(template), "$patch": "replace"}}},
            "revision": number,
        }
        return self._registry.create(
            resources.CONTROLLERREVISIONS, meta["namespace"], body, manager="kube-controller-manager"
        )

    def truncate(self, owner: Object, known: list[Object], live: Iterable[str]) -> None:
        """Delete the oldest revisions over the history's limit; `live` are the names of those in use."""
        names = set(live)
        idle = [obj for obj in known if obj["metadata"]["name"] not in names]
        for obj in idle[: max(0, len(idle) - owner["spec"]["revisionHistoryLimit"])]:
            self._registry.delete(resources.CONTROLLERREVISIONS, obj["metadata"]["namespace"], obj["metadata"]["name"])


def collided(error: ApiError) -> bool:
    """Whether a revision could not be made because its name is taken."""
    return error.reason == "AlreadyExists"


def one_more_collision(status: Object) -> Object:
    """The status by which the next name tried is another one."""
    return {**status, "collisionCount": (status.get("collisionCount") or 0) + 1}
