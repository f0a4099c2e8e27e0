# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading a workload with its revisions and pods, and changing it only where nobody else did meanwhile."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _retries, _shapes
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _selectors, _workloads

#: How often a change is tried again because something else about the object changed, mostly its status.
TRIES = 10


class Resource(t.NamedTuple):
    """How the API serves a kind."""

    plural: str
    group: str
    version: str


#: What leads users to Services, by kind.
ROUTES = {
    "HTTPRoute": Resource("httproutes", "gateway.networking.k8s.io", "v1"),
    "Ingress": Resource("ingresses", "networking.k8s.io", "v1"),
    "VirtualService": Resource("virtualservices", "networking.istio.io", "v1"),
    "TraefikService": Resource("traefikservices", "traefik.io", "v1alpha1"),
    "Route": Resource("routes", "route.openshift.io", "v1"),
}


class Place(t.NamedTuple):
    """Where a workload is."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def path(self) -> str:
        """The path of the workload, of the Service in front of it, or of what scales it."""
        if self.kind == "Service":
            return _api.path_of("services", self.namespace, self.name)
        if self.kind in ROUTES:
            plural, group, version = ROUTES[self.kind]
            return _api.path_of(plural, self.namespace, self.name, group=group, version=version)
        if self.kind == "HorizontalPodAutoscaler":
            return _api.path_of(
                "horizontalpodautoscalers", self.namespace, self.name, group="autoscaling", version="v2"
            )
        return _api.path_of(_workloads.PLURALS[self.kind], self.namespace, self.name, group="apps")

    @property
    def collection(self) -> str:
        """The path of all objects of its kind in its namespace."""
        return self.path.rpartition("/")[0]

    @property
    def lists(self) -> tuple[str, str, str]:
        """The paths of the lists that it, what remembers its revisions, and its pods are in."""
        memory = "replicasets" if self.kind == "Deployment" else "controllerrevisions"
        return (
            _api.path_of(_workloads.PLURALS[self.kind], self.namespace, group="apps"),
            _api.path_of(memory, self.namespace, group="apps"),
            _api.path_of("pods", self.namespace),
        )


def found(api: _api.Api, place: Place) -> _api.Object:
    """The workload. Raises Failure where there is none, saying whether its namespace is missing too."""
    try:
        return api.get(place.path)
    except _api.ApiError as error:
        if error.status != 404:
            raise
    check_namespace(api, place.namespace)
    raise Failure(f"There is no {place} in namespace {place.namespace}; create it, or name another.")


def there(api: _api.Api, place: Place) -> _api.Object | None:
    """The workload or Service, None where there is none. Raises ApiError."""
    return at(api, place.path)


def at(api: _api.Api, path: str) -> _api.Object | None:
    """What is at a path, None where nothing is. Raises ApiError."""
    try:
        return api.get(path)
    except _api.ApiError as error:
        if error.status == 404:
            return None
        raise


def check_namespace(api: _api.Api, namespace: str) -> None:
    """Raise Failure where a namespace is known to be missing."""
    try:
        api.get(_api.path_of("namespaces", name=namespace))
    except _api.ApiError as error:
        if error.status == 404 and error.reason == "NotFound":
            raise Failure(
                f"There is no namespace {namespace}; create it with kubectl create namespace {namespace}, "
                f"or name the one that is meant."
            ) from error


def around(api: _api.Api, place: Place, workload: _api.Object) -> tuple[list[_api.Object], list[_api.Object]]:
    """What remembers a workload's revisions, and the pods that its selector picks."""
    chosen = selector(workload["spec"]["selector"])
    _own, memory, pods = place.lists
    return api.items(memory, labelSelector=chosen), api.items(pods, labelSelector=chosen)


#: A label selector as a query has it.
selector = _selectors.query


def changed(
    api: _api.Api,
    place: Place,
    workload: _api.Object,
    plan: t.Callable[[_api.Object], list[_api.Object]],
    *,
    dry_run: bool,
    before_write: t.Callable[[], None] = lambda: None,
) -> _api.Object:
    """The workload after the JSON patch that `plan` makes for it, or as it is where that is empty.

    `before_write` is called right before the patch is sent, and may raise Failure to keep it from being sent.

    The patch applies only to the object that it was made for: when that has changed meanwhile, `plan` is called again
    and may raise Failure where the change matters. Raises ApiError.
    """
    for left in reversed(range(TRIES)):
        patch = plan(workload)
        if not patch:
            break
        api.check(workload, _shapes.identity, place.kind)
        metadata = workload["metadata"]
        same = [
            {"op": "test", "path": f"/metadata/{key}", "value": metadata[key]} for key in ("uid", "resourceVersion")
        ]
        if not dry_run:
            before_write()
        try:
            return api.patch(place.path, [*same, *patch], dry_run=dry_run)
        except _api.ApiError as error:
            if error.status not in (404, 409, 422):
                raise
            newest = found(api, place)
            api.check(newest, _shapes.identity, place.kind)
            same_one = newest["metadata"]["resourceVersion"] == metadata["resourceVersion"]
            if not left or (same_one and error.status != 409):
                raise
            if newest["metadata"]["uid"] != metadata["uid"]:
                raise Failure(
                    f"{place} was deleted and created again during this run; run the playbook again."
                ) from error
            if same_one:
                time.sleep(_retries.growing(TRIES - left))
            workload = newest
    return workload


def deleted(
    api: _api.Api,
    place: Place,
    item: _api.Object,
    *,
    dry_run: bool,
    before_write: t.Callable[[], None] = lambda: None,
) -> None:
    """Delete an object, where it is the one that was read. Raises ApiError, and Failure where it was created again."""
    uid = item["metadata"]["uid"]
    for left in reversed(range(TRIES)):
        same = {"uid": uid, "resourceVersion": item["metadata"]["resourceVersion"]}
        if not dry_run:
            before_write()
        try:
            api.delete(place.path, {"preconditions": same}, dry_run=dry_run)
            return
        except _api.ApiError as error:
            if error.status not in (404, 409):
                raise
            newest = there(api, place)
            if newest is None:
                return  # as it was to be
            if newest["metadata"]["uid"] != uid:
                raise Failure(
                    f"{place} was deleted and created again by somebody else during this run; run the playbook again."
                ) from error
            if not left:
                raise
            item = newest


def difference(before: _api.Object, after: _api.Object) -> dict[str, t.Any]:
    """What a task returns of a change: whether there was one, and what was wished for before and after."""
    wished, wishes = _wishes(before), _wishes(after)
    if wished == wishes:
        return {"changed": False}
    return {"changed": True, "diff": {"before": wished, "after": wishes}}


def _wishes(workload: _api.Object) -> _api.Object:
    """What is asked of a workload; its revision is the controller's word."""
    noted = {key: value for key, value in _workloads.annotations_of(workload).items() if key != _workloads.REVISION}
    return {"metadata": {"annotations": noted}, "spec": workload["spec"]}
