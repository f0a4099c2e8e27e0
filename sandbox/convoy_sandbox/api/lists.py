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


def number(query: Any, name: str) -> int:
    """A query parameter that is a number from 0 on, 0 where it is not given. Raises ApiError 400."""
    text = query.get(name) or "0"
    if not text.isdigit():
        raise errors.bad_request(
            f'unable to convert {name}: strconv.ParseInt: parsing "{text}": it must be a number from 0 on'
        )
    return int(text)


def page(store: Store, resource: Resource, namespace: str, query: Any) -> tuple[list[Object], Object]:
    """The objects of a list request and the metadata of its answer.

    Raises ApiError 400, 410 (a page or a resourceVersion of too long ago) or 504 (one that is yet to come).
    """
    fits = predicate(resource, query)
    resource = conversion.stored_as(resource)
    limit = number(query, "limit")
    asked = number(query, "resourceVersion")
    start: tuple[str, str] | None = None
    if query.get("continue"):
        if asked:
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        revision, start = _token(query["continue"])
        try:
            found = at(store, resource, namespace, revision) if revision else store.list(resource, namespace)
        except errors.ApiError as gone:
            raise errors.ApiError(
                gone.code, gone.reason, _EXPIRED, metadata={"continue": _make_token(0, start)}
            ) from None
        revision = revision or store.revision
    else:
        revision = store.revision
        if asked > revision:
            raise errors.too_large_version(asked, revision)
        match = query.get("resourceVersionMatch", "")
        if asked and (match == "Exact" or (limit and not match)):
            revision = asked
        found = at(store, resource, namespace, revision)
    found = [obj for obj in found if (start is None or _key(obj) > start) and fits(obj)]
    meta: Object = {"resourceVersion": str(revision)}
    if limit and len(found) > limit:
        rest = len(found) - limit
        found = found[:limit]
        meta["continue"] = _make_token(revision, _key(found[-1]))
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


def _make_token(revision: int, key: tuple[str, str]) -> str:
    """Where a list goes on; revision 0 stands for whatever is there by then."""
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": list(key)})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _token(text: str) -> tuple[int, tuple[str, str]]:
    try:
        data = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        namespace, name = data["start"]
        return int(data["rv"]), (str(namespace), str(name))
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise errors.bad_request(f"continue key is not valid: {text}") from None
