# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists: selectors, pages, and the state of a collection at an earlier resourceVersion."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

from .. import conversion, errors, selectors
from ..kinds.custom import as_version
from ..resources import Resource
from ..store import Object, Store
from . import go_json

_TOO_OLD = "The resourceVersion for the provided list is too old."
Predicate = Callable[[Object], bool]

_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)


def predicate(resource: Resource, query: Any) -> Predicate:
    """What a list or a watch selects. Raises ApiError 400."""
    labels = selectors.label_selector(query.get("labelSelector", ""))
    fields = selectors.field_selector(resource, query.get("fieldSelector", ""))
    return lambda obj: labels(obj) and fields(obj)


def number(query: Any, name: str, *, negative: bool = False) -> int:
    """A query parameter that is a number, 0 where it is not given. Raises ApiError 400."""
    text = query.get(name) or "0"
    if not (text.removeprefix("-") if negative else text).isdigit():
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _version(query: Any) -> int:
    """The resourceVersion that a list asks for, 0 for any. Raises ApiError 400 or 422."""
    text, match = query.get("resourceVersion") or "", query.get("resourceVersionMatch", "")
    if text and not text.isdigit():
        raise errors.bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
            "invalid syntax"
        )
    if match and not text:
        raise _no_match("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match == "Exact" and text == "0":
        raise _no_match('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    return int(text or 0)


def _no_match(why: str) -> errors.ApiError:
    return errors.invalid_options("ListOptions", "resourceVersionMatch", "FieldValueForbidden", f"Forbidden: {why}")


def page(store: Store, resource: Resource, namespace: str, query: Any) -> tuple[list[Object], Object]:
    """The objects of a list request and the metadata of its answer.

    Raises ApiError 400, 410 (a page or a resourceVersion of too long ago) or 504 (one that is yet to come).
    """
    fits = predicate(resource, query)
    resource = conversion.stored_as(resource)
    limit = max(0, number(query, "limit", negative=True))
    asked = _version(query)
    if query.get("resourceVersion") == "0" and not query.get("continue"):
        limit = 0  # whatever is at hand: that is everything
    start: tuple[str, str] | None = None
    if query.get("continue"):
        if asked:
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        revision, start = _token(query["continue"], namespace)
        try:
            found = at(store, resource, namespace, revision) if revision > 0 else store.list(resource, namespace)
        except errors.ApiError as gone:
            raise errors.ApiError(
                gone.code, gone.reason, _EXPIRED, metadata={"continue": _make_token(-1, start, namespace)}
            ) from None
        revision = revision if revision > 0 else store.revision
    else:
        revision = store.revision
        if asked > revision:
            raise errors.too_large_version(asked, revision)
        match = query.get("resourceVersionMatch", "")
        if asked and (match == "Exact" or (limit and not match)):
            revision = asked
        try:
            found = at(store, resource, namespace, revision)
        except errors.ApiError as gone:
            raise errors.ApiError(gone.code, gone.reason, _TOO_OLD) from None
    found = [obj for obj in found if (start is None or _key(obj) > start) and fits(obj)]
    meta: Object = {"resourceVersion": str(revision)}
    if limit and len(found) > limit:
        rest = len(found) - limit
        found = found[:limit]
        meta["continue"] = _make_token(revision, _key(found[-1]), namespace)
        if not query.get("labelSelector") and not query.get("fieldSelector"):
            meta["remainingItemCount"] = rest
    return found, meta


def listed(resource: Resource, items: list[Object], meta: Object) -> Object:
    """The answer to a list request. Elements of a typed list carry no kind of their own."""
    if resource.custom is not None:
        shown = [as_version(resource, obj) for obj in items]
        return {
            "apiVersion": resource.api_version, "items": shown, "kind": resource.custom.list_kind,
            "metadata": {"continue": "", **meta},
        }  # fmt: skip
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": meta,
        "items": [
            {k: v for k, v in conversion.shown(resource, obj).items() if k not in ("kind", "apiVersion")}
            for obj in items
        ],
    }


def at(store: Store, resource: Resource, namespace: str, revision: int) -> list[Object]:
    """The objects as they were at a resourceVersion. Raises ApiError 410 where it is too long ago."""
    if revision == store.revision:
        return store.list(resource, namespace)
    changes = [change for change in store.changes_since(revision) if change.resource == resource]
    if not changes:
        return store.list(resource, namespace)
    objects = {_key(obj): obj for obj in store.list(resource, namespace)}
    for change in reversed(changes):
        key = _key(change.object)
        if namespace and key[0] != namespace:
            continue
        if change.old is None:
            objects.pop(key, None)
        else:
            objects[key] = change.old
    return [objects[key] for key in sorted(objects)]


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _make_token(revision: int, key: tuple[str, str], namespace: str) -> str:
    """Where a list goes on: behind a key; revision -1 stands for whatever is there by then."""
    start = key[1] if namespace or not key[0] else "/".join(key)
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": f"{start}\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _token(text: str, namespace: str) -> tuple[int, tuple[str, str]]:
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        why = go_json.problem(decoded)
        if why:
            raise errors.bad_request(f"invalid continue token: continue key is not valid: {why}")
        data = json.loads(decoded)
        start = str(data["start"]).rstrip("\0").lstrip("/")
        first, slash, name = start.partition("/")
        return int(data["rv"]), (first, name) if slash else (namespace, start)
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise errors.bad_request(f"continue key is not valid: {text}") from None
