# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watches: what a client sees of the store's changes, one JSON object a line."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from .. import conversion, errors
from ..kinds.custom import as_version
from ..resources import Resource
from ..store import Change, Object, Store, Watch
from . import tables
from .lists import Predicate, number, predicate
from .negotiation import Form, flag

_BOOKMARK_SECONDS = 60.0
_BEFORE_THE_END = 2.0  #: seconds before the end of a watch, when a last bookmark comes


def frame(type_: str, obj: Object) -> bytes:
    """One event of a watch."""
    return json.dumps({"type": type_, "object": obj}, separators=(",", ":")).encode() + b"\n"


def visible(change: Change, namespace: str, fits: Predicate) -> tuple[str, Object] | None:
    """What a watcher with a selector sees of a change.

    An object that enters its view is added for it; one that leaves is deleted, in the last state
    that was in view.
    """
    meta = change.object["metadata"]
    if namespace and meta.get("namespace") != namespace:
        return None
    is_in = change.type != "DELETED" and fits(change.object)
    was_in = change.old is not None and fits(change.old)
    if is_in:
        return ("MODIFIED" if was_in else "ADDED"), change.object
    if not was_in or change.old is None:
        return None
    if change.type == "DELETED":
        return "DELETED", change.object
    old = change.old
    version = change.object["metadata"]["resourceVersion"]
    return "DELETED", {**old, "metadata": {**old["metadata"], "resourceVersion": version}}


@dataclass(frozen=True)
class Wanted:
    """What a watch request asks for.

    `since` is the resourceVersion to go on from, None for now; `initial` whether the present objects
    come first, `initial_end` whether a bookmark says when they are through; `seconds` how long it lasts.
    """

    since: int | None
    initial: bool
    initial_end: bool
    bookmarks: bool
    seconds: float


def wanted(query: Any) -> Wanted:
    """The parameters of a watch request. Raises ApiError 400 or 422."""
    version = query.get("resourceVersion", "")
    if version and not version.isdigit():
        raise errors.bad_request(
            f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
        )
    asked = query.get("sendInitialEvents")
    if asked is not None and query.get("resourceVersionMatch") != "NotOlderThan":
        raise errors.invalid_options(
            "ListOptions", "resourceVersionMatch", "FieldValueForbidden",
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )  # fmt: skip
    since = int(version) if version not in ("", "0") else None
    listed = flag(query, "sendInitialEvents")
    bookmarks = flag(query, "allowWatchBookmarks")
    return Wanted(
        since=since,
        initial=listed or (asked is None and since is None),
        initial_end=listed and bookmarks,
        bookmarks=bookmarks,
        seconds=float(number(query, "timeoutSeconds") or random.randint(1800, 3600)),
    )


def stream(
    store: Store, resource: Resource, namespace: str, name: str, query: Any, form: Form
) -> AsyncGenerator[bytes, None]:
    """The frames of a watch until its time is up. Raises ApiError 400 or 422 at once, before any frame."""
    selected = predicate(resource, query)

    def fits(obj: Object) -> bool:
        return (not name or obj["metadata"]["name"] == name) and selected(obj)

    include = query.get("includeObject", "Metadata")
    first = True

    def shown(obj: Object) -> Object:
        nonlocal first
        columns, first = first, False
        obj = as_version(resource, obj)
        if form.as_ == "Table":
            meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return tables.table(resource, [obj], meta, include=include, columns=columns)
        return tables.partial(obj) if form.as_ == "PartialObjectMetadata" else conversion.shown(resource, obj)

    return _frames(store, resource, namespace, wanted(query), fits, shown)


async def _frames(
    store: Store,
    resource: Resource,
    namespace: str,
    asked: Wanted,
    fits: Predicate,
    shown: Callable[[Object], Object],
) -> AsyncGenerator[bytes, None]:
    # The resourceVersion up to which the client knows everything: what a bookmark may say.
    known = store.revision if asked.since is None or asked.initial else asked.since
    try:
        watch = Watch(store, conversion.stored_as(resource), known)
    except errors.ApiError as gone:
        yield frame("ERROR", gone.status)
        return
    try:
        if asked.initial:
            for obj in store.list(conversion.stored_as(resource), namespace):
                if fits(obj):
                    yield frame("ADDED", shown(obj))
            if asked.initial_end:
                yield frame("BOOKMARK", bookmark(resource, known, initial_end=True))
        loop = asyncio.get_running_loop()
        end = loop.time() + asked.seconds
        due = _next_bookmark(loop.time(), end)
        while (left := end - loop.time()) > 0:
            try:
                change = await asyncio.wait_for(anext(watch), max(0.0, min(left, due - loop.time())))
            except TimeoutError:
                if loop.time() < due:
                    continue  # it is over
                due = _next_bookmark(loop.time(), end)
                known = store.revision if watch.idle else known
                if asked.bookmarks:
                    yield frame("BOOKMARK", bookmark(resource, known))
                continue
            known = change.revision
            seen = visible(change, namespace, fits)
            if seen is not None:
                yield frame(seen[0], shown(seen[1]))
    finally:
        watch.close()


def _next_bookmark(now: float, end: float) -> float:
    """When a quiet watch that ends at `end` has its next bookmark, as the API server's cache has it."""
    last = end - _BEFORE_THE_END
    return min(now + _BOOKMARK_SECONDS, last) if last > now else now + _BOOKMARK_SECONDS


def bookmark(resource: Resource, revision: int, *, initial_end: bool = False) -> Object:
    """The object of a BOOKMARK event: nothing but a resourceVersion."""
    meta: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial_end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
