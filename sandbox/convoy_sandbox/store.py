# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The versioned objects of a cluster and the hub that tells watchers about them.

One event loop owns a store: every call is synchronous and so atomic. A stored object is never
changed in place; whoever wants another state copies it and puts the copy.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .resources import Resource

Object = dict[str, Any]

#: How many changes are kept for watches that resume; older ones are answered with 410.
HISTORY = 10_000


@dataclass(frozen=True)
class Change:
    """One change of one object.

    `type` is ADDED, MODIFIED or DELETED; `object` the state after it (for DELETED the last state,
    with the resourceVersion of the deletion); `old` the state before it, or None.
    """

    revision: int
    type: str
    resource: Resource
    object: Object
    old: Object | None


class Store:
    """All objects of one cluster, by resource, namespace ("" for cluster scope) and name."""

    def __init__(self) -> None:
        self._revision = 0
        self._objects: dict[Resource, dict[tuple[str, str], Object]] = {}
        self._history: deque[Change] = deque(maxlen=HISTORY)
        self._forgotten = 0  # the newest revision that the history no longer holds
        self._subscribers: list[Callable[[Change], None]] = []

    @property
    def revision(self) -> int:
        """The resourceVersion of the newest change."""
        return self._revision

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object, or None. It must not be changed in place."""
        return self._objects.get(resource, {}).get((namespace, name))

    def list(self, resource: Resource, namespace: str = "") -> list[Object]:
        """The objects of a kind in one namespace (in all of them where it is ""), by namespace and name."""
        items = self._objects.get(resource, {})
        return [items[key] for key in sorted(items) if not namespace or key[0] == namespace]

    def put(self, resource: Resource, obj: Object) -> Object:
        """Store an object as it is, under a new resourceVersion, and return what was stored."""
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        items = self._objects.setdefault(resource, {})
        old = items.get(key)
        stored = self._stamped(obj)
        items[key] = stored
        self._publish("MODIFIED" if old else "ADDED", resource, stored, old)
        return stored

    def remove(self, resource: Resource, namespace: str, name: str) -> Object:
        """Take an object away and return its last state. Raises KeyError where there is none."""
        old = self._objects[resource].pop((namespace, name))
        gone = self._stamped(old)
        self._publish("DELETED", resource, gone, old)
        return gone

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call back, at once and in order, on every change; the answer ends the subscription."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def changes_since(self, revision: int) -> Iterator[Change]:
        """The changes after a resourceVersion. Raises ApiError 410 where they are no longer kept."""
        if revision < self._forgotten:
            raise errors.expired(f"too old resource version: {revision} ({self._forgotten})")
        return (change for change in list(self._history) if change.revision > revision)

    def forget(self, revision: int) -> None:
        """Drop the history up to a resourceVersion, as etcd's compaction does."""
        while self._history and self._history[0].revision <= revision:
            self._history.popleft()
        self._forgotten = max(self._forgotten, revision)

    def _stamped(self, obj: Object) -> Object:
        self._revision += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._revision)}}

    def _publish(self, type_: str, resource: Resource, obj: Object, old: Object | None) -> None:
        if len(self._history) == HISTORY:
            self._forgotten = self._history[0].revision
        change = Change(self._revision, type_, resource, obj, old)
        self._history.append(change)
        for callback in list(self._subscribers):
            callback(change)


class Watch:
    """An async iterator over the changes of one resource, from a resourceVersion on, until closed."""

    def __init__(self, store: Store, resource: Resource, since: int) -> None:
        """Raises ApiError 410 where `since` is older than the history."""
        self._queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self._resource = resource
        for change in store.changes_since(since):
            self._offer(change)
        self._unsubscribe = store.subscribe(self._offer)

    @property
    def idle(self) -> bool:
        """Whether every change so far was read."""
        return self._queue.empty()

    def _offer(self, change: Change) -> None:
        if change.resource == self._resource:
            self._queue.put_nowait(change)

    def close(self) -> None:
        """End the watch; a waiting reader wakes up and stops."""
        self._unsubscribe()
        self._queue.put_nowait(None)

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Change:
        change = await self._queue.get()
        if change is None:
            raise StopAsyncIteration
        return change
