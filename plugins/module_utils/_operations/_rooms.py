# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether what is in manifests has room, all of it together, before any of it is applied."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _capacity
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _update
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _amounts, _place, _quotas, _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _capacity as _rooms
from ansible_collections.convoy.rollout.plugins.module_utils._workload._capacity import Room, Scene
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

#: What a Deployment that is created counts as, for quotas on objects.
CREATED = {"deployments.apps": 1, "replicasets.apps": 1}


class Wanted(t.NamedTuple):
    """A Deployment that is to be applied."""

    place: Place
    live: _api.Object | None
    made: _api.Object  #: as the API server would make it

    @property
    def replicas(self) -> int:
        """How many pods it is to have."""
        return int(self.made["spec"].get("replicas", 1))

    @property
    def template(self) -> _api.Object:
        """What these pods are made of."""
        return t.cast("_api.Object", self.made["spec"]["template"])

    @property
    def replaces(self) -> bool:
        """Whether the pods that there are go for new ones."""
        return self.live is not None and _workloads.bare(self.template) != _workloads.bare(
            self.live["spec"]["template"]
        )

    def applied(self, scene: Scene) -> Scene:
        """The scene once this is applied and complete."""
        own = _rooms.own(self.live, scene.pods) if self.live else []
        placed = sum(bool(pod["spec"].get("nodeName")) for pod in own)
        there = 0 if self.replaces else placed
        return _rooms.after(
            _rooms.hashed(self.template, None, []),
            max(0, self.replicas - there),
            scene,
            admitted=0 if self.replaces else len(own) - placed,
            leaving=own if self.replaces else (),
            objects=None if self.live else CREATED,
            namespace=self.place.namespace,
        )

    @property
    def size(self) -> tuple[t.Any, ...]:
        """By this, what requests most comes first."""
        asked = _amounts.requests(self.template.get("spec") or {})
        return (-asked.get("memory", 0), -asked.get("cpu", 0))


def check(api: _api.Api, items: t.Sequence[_api.Object], namespace: str) -> list[str]:
    """What of the room for these objects could not be judged. Raises Failure where there is none for one of them.

    Deployments are judged as the API server would make them, each beside those before it. Where one has no room then,
    those that request most are placed before the others, and it is tried again.
    """
    try:
        wanted = _wanted(api, items, namespace)
        try:
            said = _judged(api, wanted)
        except Failure as failure:
            try:
                said = _judged(api, sorted(wanted, key=lambda each: each.size))
            except Failure:
                raise failure from None
        _check_objects(api, items, namespace)
    except _api.ApiError as error:
        if error.status != 403:
            raise
        return _update.room_hints(None)
    return list(dict.fromkeys(said))


def _wanted(api: _api.Api, items: t.Sequence[_api.Object], namespace: str) -> list[Wanted]:
    """The Deployments among the objects. Raises ApiError."""
    found = []
    for manifest in items:
        metadata = manifest.get("metadata") or {}
        if (manifest.get("kind"), manifest.get("apiVersion")) != ("Deployment", "apps/v1") or not metadata.get("name"):
            continue
        place = Place("Deployment", metadata.get("namespace") or namespace, metadata["name"])
        try:
            found.append(Wanted(place, _place.there(api, place), api.tried(place.path, manifest)))
        except _api.ApiError as error:
            if error.status != 404:  # else its namespace is one of the objects, and has neither quotas nor pods yet
                raise
    return found


def _judged(api: _api.Api, wanted: t.Sequence[Wanted]) -> list[str]:
    """What could not be judged of the room for one Deployment after the other. Raises Failure and ApiError."""
    said: list[str] = []
    for number, each in enumerate(wanted):
        before = wanted[:number]

        def then(scene: Scene, before: t.Sequence[Wanted] = before) -> Scene:
            for other in before:
                scene = other.applied(scene)
            return scene

        room = _room(api, each, then)
        if room is None:
            continue
        if room.missing is not None:
            alone = before and _room(api, each, lambda scene: scene)
            beside = ""
            if alone and alone.missing is None:
                others = ", ".join(str(other.place) for other in before)
                beside = f" beside those of {others}, which would be applied with it"
            raise Failure(
                f"Nothing was applied, as there is no room for {each.place} with its {each.replicas} pods{beside}: "
                f"{room.message}. Make room, or describe fewer replicas or smaller requests, and run the playbook "
                "again."
            )
        said += _update.room_hints(room.unjudged)
    return said


def _room(api: _api.Api, wanted: Wanted, then: _capacity.Then) -> Room | None:
    """The room for what a Deployment becomes, None where it needs none. Raises ApiError with 403 where this user may
    not see what decides."""
    namespace, replicas, template, live = wanted.place.namespace, wanted.replicas, wanted.template, wanted.live
    if not replicas:
        return None
    if live is None:
        return _capacity.found(api, namespace, replicas, template, None, CREATED, then=then)
    if not wanted.replaces:
        more = replicas > live["spec"].get("replicas", 1)
        return _capacity.found(api, namespace, replicas, template, live, then=then) if more else None
    replica_sets, _pods = _place.around(api, wanted.place, live)
    known = [revision.template for revision in _workloads.revisions(live, replica_sets)]
    new = _workloads.bare(template) not in known
    room = _capacity.for_update(api, namespace, wanted.made, template, new=new, then=then)
    return room or Room(replicas, 0, None, None, ("nodes and pods of the cluster, which this user may not list",))


#: By kind: the resource that quotas on objects count it as. The API server tries each object by itself.
COUNTED = {
    "Service": "services",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "PersistentVolumeClaim": "persistentvolumeclaims",
}


def _check_objects(api: _api.Api, items: t.Sequence[_api.Object], namespace: str) -> None:
    """Raise Failure where quotas do not have enough left for all objects that are created. Raises ApiError."""
    by_namespace: dict[str, list[_api.Object]] = {}
    for manifest in items:
        metadata = manifest.get("metadata") or {}
        if manifest.get("apiVersion") == "v1" and manifest.get("kind") in COUNTED and metadata.get("name"):
            by_namespace.setdefault(metadata.get("namespace") or namespace, []).append(manifest)
    for space, manifests in by_namespace.items():
        quotas = api.items(_api.path_of("resourcequotas", space))
        limited = {name for quota in quotas for name in _quotas.hard(quota)}
        created: Counter[str] = Counter()
        for manifest in manifests:
            objects = _quotas.objects_of(manifest, COUNTED[manifest["kind"]])
            if limited & {name for each in objects for name in (each, f"count/{each}")}:
                path = _api.path_of(COUNTED[manifest["kind"]], space, manifest["metadata"]["name"])
                created.update({} if _place.at(api, path) else objects)
        for quota in quotas:
            for name, count, left in _quotas.objects_short(quota, created):
                raise Failure(
                    f"Nothing was applied, as there is no room for all of it in namespace {space}: needs {count} more "
                    f"{name}, but quota {quota['metadata']['name']} has {left} left. Raise the quota, or describe "
                    "fewer objects."
                )
