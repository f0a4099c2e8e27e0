# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A look at what an apply would make of each object, before any of them is applied."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _client_errors
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _merging

Adoption = t.Tuple[str, _api.Object, t.List[_api.Object]]  # path, object as it was read, its new managedFields


LOOKS = 6  #: how often objects are looked at that change all the time


class Moved(Failure):
    """An object is no longer as it was read, as during its rollout, when its status changes all the time."""


def looked(
    api: _api.Api,
    items: t.Sequence[_api.Object],
    namespace: str,
    others: _merging.Others,
    choice: str = _merging.CHOICE,
) -> list[Adoption]:
    """Have the API server try each object, and see what would be left beside it.

    Raises Failure where one of them is refused, or has what others set and `others` says to refuse that; `choice` is
    what helps besides. Returns whose fields are to become ours first, so that the apply removes them.
    """
    adoptions = []
    known: _api.Known = {}
    for manifest in items:
        collection = _api.path_for(api, manifest, namespace, known)
        # Of a kind that another of the manifests makes known, and of an object without a name, nothing can be said.
        named = collection and (manifest.get("metadata") or {}).get("name")
        found = _looked_at(api, manifest, str(collection), others, choice) if named else None
        if found:
            adoptions.append(found)
    return adoptions


def adopt(api: _api.Api, adoptions: t.Iterable[Adoption], before_write: t.Callable[[], None]) -> None:
    """Take over the fields, where the objects are still as they were read. Raises Failure, Moved where one is not."""
    for path, live, entries in adoptions:
        before_write()
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        ]
        try:
            api.patch(path, patch)
        except _api.ApiError as error:
            if error.status not in (409, 422):
                raise
            name = f"{live['kind']} {live['metadata']['name']}"
            raise Moved(
                f"{name} was changed by somebody else during this run; find out who did that, and run the playbook "
                "again."
            ) from error


def adopt_at_last(
    api: _api.Api,
    adoptions: t.Iterable[Adoption],
    before_write: t.Callable[[], None],
    look: t.Callable[[], t.Iterable[Adoption]],
) -> None:
    """Take over the fields; where an object is not as it was read, those of another look. Raises Failure."""
    for _attempt in range(LOOKS - 1):
        try:
            adopt(api, adoptions, before_write)
        except Moved:
            adoptions = look()
        else:
            return
    adopt(api, adoptions, before_write)


def _looked_at(
    api: _api.Api, manifest: _api.Object, collection: str, others: _merging.Others, choice: str
) -> Adoption | None:
    kind, name = str(manifest["kind"]), str(manifest["metadata"]["name"])
    path = f"{collection}/{name}"
    live = _read(api, path)
    try:
        merged = api.tried(path, manifest)
    except _api.ApiError as error:
        if error.status == 404 or (live is None and error.status == 403 and not error.reason):
            return None  # its namespace may be one of the manifests
        help_ = _merging.way_out(kind, name, error.message)
        if error.status in (400, 409, 422) or help_:
            said = _client_errors.SECRETLESS if kind == "Secret" else error.message
            raise Failure(f"{said.rstrip('.')}{f'; {help_}' if help_ else ''}. Nothing was applied.") from None
        raise
    if live is None or others == "keep" or kind not in (*_merging.COMPARED, *_merging.OF_DATA):
        return None
    described = manifest if kind in _merging.OF_DATA else _alone(api, collection, manifest)
    if described is None:
        return None
    found = _merging.left({"kind": kind, **live}, {"kind": kind, **merged}, described)
    foreign = [each for each in found if not each.ours]
    if foreign and others == "refuse":
        raise Failure(_merging.refusal(f"{kind} {name}", foreign, choice))
    if not found:
        return None
    managers = None if others == "take" else (_merging.OURS,)
    entries = _merging.adopted(live, manifest, str(manifest["apiVersion"]), managers)
    return (path, {"kind": kind, **live}, entries) if entries else None


def _read(api: _api.Api, path: str) -> _api.Object | None:
    """The object as it is, None where there is none or this user may not read it. Raises ApiError."""
    try:
        return api.get(path)
    except _api.ApiError as error:
        if error.status in (403, 404):
            return None
        raise


def _alone(api: _api.Api, collection: str, manifest: _api.Object) -> _api.Object | None:
    """What the API server would make of the manifest alone, None where it does not say. Raises ApiError."""
    try:
        return api.create(collection, _merging.second(manifest), dry_run=True)
    except _api.ApiError as error:
        if error.status in (400, 403, 404, 409, 422):
            return None
        raise
