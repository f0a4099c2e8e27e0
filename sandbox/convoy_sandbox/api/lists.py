"""Lists: selectors and pages."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

from .. import errors, selectors
from ..resources import Resource
from ..store import Object, Store

Predicate = Callable[[Object], bool]


def predicate(resource: Resource, query: Any) -> Predicate:
    """What a list or a watch selects. Raises ApiError 400."""
    labels = selectors.label_selector(query.get("labelSelector", ""))
    fields = selectors.field_selector(resource, query.get("fieldSelector", ""))
    return lambda obj: labels(obj) and fields(obj)


def _number(query: Any, name: str) -> int:
    text = query.get(name) or "0"
    if not text.isdigit():
        raise errors.bad_request(f"invalid value {text!r} of the parameter {name}: it must be a number")
    return int(text)


def page(store: Store, resource: Resource, namespace: str, query: Any) -> tuple[list[Object], Object]:
    """The objects of a list request and the metadata of its answer. Raises ApiError 400 or 410."""
    fits = predicate(resource, query)
    found = [obj for obj in store.list(resource, namespace) if fits(obj)]
    limit = _number(query, "limit")
    revision = store.revision
    if query.get("continue"):
        revision, start = _token(query["continue"])
        store.changes_since(revision)  # 410 where the first page is too long ago
        found = [obj for obj in found if _key(obj) > start]
    meta: Object = {"resourceVersion": str(revision)}
    if limit and len(found) > limit:
        rest = len(found) - limit
        found = found[:limit]
        meta["continue"] = _make_token(revision, _key(found[-1]))
        if not query.get("labelSelector") and not query.get("fieldSelector"):
            meta["remainingItemCount"] = rest
    return found, meta


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _make_token(revision: int, key: tuple[str, str]) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": list(key)})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _token(text: str) -> tuple[int, tuple[str, str]]:
    try:
        data = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        namespace, name = data["start"]
        return int(data["rv"]), (namespace, name)
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise errors.bad_request(f"continue key is not valid: {text}") from None
