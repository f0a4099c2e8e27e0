# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every controller is made of: it follows the store and reconciles the keys that changes put in a queue."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from ..registry import Registry
from ..resources import Resource
from ..store import Change, Object, Store
from ..workqueue import Queue

K = TypeVar("K", bound=Hashable)


class Controller(Generic[K]):
    """Follows the store: `_changed` puts keys in the queue, `_reconcile` takes them out."""

    def __init__(self, store: Store, registry: Registry, name: str) -> None:
        self._store = store
        self._registry = registry
        self._queue: Queue[K] = Queue(name, self._reconcile)

    def start(self) -> None:
        """Follow the store."""
        self._unsubscribe = self._store.subscribe(self._changed)

    def close(self) -> None:
        """Stop."""
        self._unsubscribe()
        self._queue.close()

    def _changed(self, change: Change) -> None:
        raise NotImplementedError

    def _reconcile(self, key: K) -> None:
        raise NotImplementedError

    def _write_status(self, resource: Resource, obj: Object, status: Object) -> Object:
        meta = obj["metadata"]
        return self._registry.modify(
            resource, meta["namespace"], meta["name"], lambda it: it.update(status=status),
            subresource="status", manager="kube-controller-manager",
        )  # fmt: skip
