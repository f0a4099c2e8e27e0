"""The write path of the API server: what happens between a request and the store.

Every writer takes it, HTTP clients and the sandbox's own controllers alike: decode, default,
validate, admit (quota, terminating namespaces), keep generation and field ownership, store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from .resources import Resource
    from .store import Object, Store

Propagation = Literal["Background", "Foreground", "Orphan"]


class Registry:
    """Creates, reads, changes and deletes objects by the rules of their kinds.

    All calls raise `ApiError`. `manager` is the field manager that ownership is recorded under.
    With `dry_run` everything happens but the storing.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """The object; ApiError 404 where there is none."""
        raise NotImplementedError

    def create(
        self,
        resource: Resource,
        namespace: str,
        obj: Object,
        *,
        manager: str = "sandbox",
        validation: str = "Warn",
        dry_run: bool = False,
    ) -> Object:
        """Store a new object (metadata.name or generateName) and return it as stored."""
        raise NotImplementedError

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Object,
        *,
        subresource: str = "",
        manager: str = "sandbox",
        validation: str = "Warn",
        dry_run: bool = False,
    ) -> Object:
        """Replace an object (or its `status`); a resourceVersion in `obj` must be the current one.

        An update that changes nothing is not stored and keeps the resourceVersion.
        """
        raise NotImplementedError

    def modify(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Object], None],
        *,
        subresource: str = "",
        manager: str = "sandbox",
    ) -> Object:
        """Change a copy of the current object in place and store it: how controllers write."""
        raise NotImplementedError

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        content_type: str,
        body: Any,
        *,
        subresource: str = "",
        manager: str = "sandbox",
        force: bool = False,
        validation: str = "Warn",
        dry_run: bool = False,
    ) -> tuple[Object, bool]:
        """Apply a JSON, merge, strategic-merge or server-side-apply patch.

        `content_type` is the patch's media type, `force` settles apply conflicts. Returns the
        object and whether it was created (server-side apply only).
        """
        raise NotImplementedError

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        propagation: Propagation | None = None,
        grace_period_seconds: int | None = None,
        preconditions: dict[str, str] | None = None,
        dry_run: bool = False,
    ) -> tuple[Object, bool]:
        """Delete an object: at once, or by a deletionTimestamp where finalizers or a grace period wait.

        Returns the object and whether it is gone already.
        """
        raise NotImplementedError
