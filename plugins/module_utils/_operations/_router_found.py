# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what shares the traffic of two Services, and finding it where nobody said which it is."""

from __future__ import annotations

from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _ingress, _router
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._router import Router
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._split import Split
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _place
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import ROUTES, Place


def router(api: _api.Api, namespace: str, service: str, other: str) -> tuple[Router | None, tuple[str, ...]]:
    """The one router that leads to a Service, and what this user may not do to know it or to have it share traffic.

    Only what the cluster serves is listed. A router that this user may not change does not count. Raises Failure where
    there are several.
    """
    found: list[tuple[Router, _api.Object]] = []
    may_not: list[str] = []
    served = _served(api)
    for known in _router.KINDS.values():
        kind = known.kind
        plural, group, version = ROUTES[kind.KIND]
        if served is not None and (group, version) not in served:
            continue
        try:
            there = api.items(_api.path_of(plural, namespace, group=group, version=version))
            items = [item for item in there if kind.leads(item, service)]
        except _api.ApiError as error:
            if error.status == 403:
                may_not.append(f"list {plural}")
            elif error.status != 404:
                raise
            continue
        if kind is _ingress and items:
            classes = _classes(api)
            items = [item for item in items if _ingress.serves(item, classes)]
        found += [(Router(kind, item["metadata"]["name"]), item) for item in items]
    only = _router.one([each for each, _item in found], service)
    if only is not None and not _may_change(api, namespace, only, found[0][1], (service, other)):
        may_not.append(f"{'create' if only.kind.OWN else 'patch'} {ROUTES[only.kind.KIND].plural}")
        only = None
    return only, tuple(may_not)


def split(api: _api.Api, namespace: str, router: Router, services: tuple[str, str]) -> Split:
    """How a router shares the traffic of these Services by now. Raises Failure where its object is not there."""
    kind = router.kind
    own = _place.there(api, Place(kind.KIND, namespace, services[1])) if kind.OWN else None
    try:
        return Split(router, api.get(Place(kind.KIND, namespace, router.name).path), services, own)
    except _api.ApiError as error:
        if error.status != 404:
            raise
        plural, group, _version = ROUTES[kind.KIND]
        raise Failure(
            f"There is no {router} in namespace {namespace}, or the cluster does not serve {plural}.{group}; create "
            "it, or name another in application_router."
        ) from error


def _may_change(api: _api.Api, namespace: str, router: Router, item: _api.Object, services: tuple[str, str]) -> bool:
    """Whether this user may have the router share traffic, by trying to without changing anything."""
    place = Place(router.kind.KIND, namespace, router.name)
    try:
        if router.kind.OWN:
            api.create(place.collection, router.kind.own(item, *services, Fraction(0)), dry_run=True)
        else:
            same = [{"op": "test", "path": "/metadata/uid", "value": item["metadata"]["uid"]}]
            api.patch(place.path, same, dry_run=True)
    except _api.ApiError as error:
        if error.status == 403:
            return False
        if error.status not in (404, 409, 422):
            raise
    return True


def _served(api: _api.Api) -> set[tuple[str, str]] | None:
    """The groups that the cluster serves with their versions; None where this user may not know."""
    try:
        groups = api.get("/apis").get("groups") or []
    except _api.ApiError as error:
        if error.status in (401, 403, 404):
            return None
        raise
    return {(group["name"], each["version"]) for group in groups for each in group.get("versions") or []}


def _classes(api: _api.Api) -> list[_api.Object] | None:
    """The cluster's IngressClasses; None where this user may not list them."""
    try:
        return api.items("/apis/networking.k8s.io/v1/ingressclasses")
    except _api.ApiError as error:
        if error.status in (403, 404):
            return None
        raise
