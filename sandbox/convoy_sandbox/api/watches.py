"""Watches: a stream of frames, one JSON object a line."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

from .. import errors
from ..resources import Resource
from ..store import Change, Object, Store, Watch
from . import tables
from .lists import Predicate, predicate
from .negotiation import Form

_BOOKMARK_SECONDS = 60.0


def frame(type_: str, obj: Object) -> bytes:
    """One event of a watch."""
    return json.dumps({"type": type_, "object": obj}, separators=(",", ":")).encode() + b"\n"


def visible(change: Change, namespace: str, fits: Predicate) -> tuple[str, Object] | None:
    """What a watcher with a selector sees of a change: an object that leaves its view is deleted for it."""
    meta = change.object["metadata"]
    if namespace and meta.get("namespace") != namespace:
        return None
    is_in = change.type != "DELETED" and fits(change.object)
    was_in = change.old is not None and fits(change.old)
    if is_in:
        return ("MODIFIED" if was_in else "ADDED"), change.object
    if was_in:
        return "DELETED", change.object
    return None


async def stream(
    store: Store, resource: Resource, namespace: str, name: str, query: Any, form: Form
) -> AsyncIterator[bytes]:
    """The frames of a watch until its time is up. Raises ApiError 400 before the first frame."""
    selected = predicate(resource, query)

    def fits(obj: Object) -> bool:
        return (not name or obj["metadata"]["name"] == name) and selected(obj)

    def shown(obj: Object, *, first: bool = False) -> Object:
        if form.as_ == "Table":
            meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return tables.table(
                resource, [obj], meta, include=query.get("includeObject", "Metadata"), columns=first
            )
        return tables.partial(obj) if form.as_ == "PartialObjectMetadata" else obj

    text = query.get("resourceVersion", "")
    if text and not text.isdigit():
        raise errors.bad_request(f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: invalid syntax')
    timeout = float(query.get("timeoutSeconds") or random.randint(1800, 3600))
    bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
    initial = query.get("sendInitialEvents") == "true" or text in ("", "0")
    watch: Watch | None = None
    try:
        try:
            watch = Watch(store, resource, store.revision if initial else int(text))
        except errors.ApiError as gone:
            yield frame("ERROR", gone.status)
            return
        first = True
        if initial:
            for obj in store.list(resource, namespace):
                if fits(obj):
                    yield frame("ADDED", shown(obj, first=first))
                    first = False
            if query.get("sendInitialEvents") == "true" and bookmarks:
                yield frame("BOOKMARK", bookmark(resource, store.revision, initial_end=True))
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                if bookmarks:
                    yield frame("BOOKMARK", bookmark(resource, store.revision))
                return
            try:
                change = await asyncio.wait_for(anext(watch), min(left, _BOOKMARK_SECONDS))
            except TimeoutError:
                if bookmarks and left > _BOOKMARK_SECONDS:
                    yield frame("BOOKMARK", bookmark(resource, store.revision))
                continue
            except StopAsyncIteration:
                return
            seen = visible(change, namespace, fits)
            if seen is not None:
                yield frame(seen[0], shown(seen[1], first=first))
                first = False
    finally:
        if watch is not None:
            watch.close()


def bookmark(resource: Resource, revision: int, *, initial_end: bool = False) -> Object:
    """The object of a BOOKMARK event: nothing but a resourceVersion."""
    meta: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial_end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
