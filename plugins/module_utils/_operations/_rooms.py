# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the Deployments among manifests have room, before any of them is applied."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _capacity
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _update
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _place, _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload._capacity import Room, Scene, after
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

#: What a Deployment that is created counts as, for quotas on objects.
CREATED = {"deployments.apps": 1, "replicasets.apps": 1}


def check(api: _api.Api, items: t.Sequence[_api.Object], namespace: str) -> list[str]:
    """What of the room for these objects' Deployments could not be judged. Raises Failure where one has none.

    Each is judged as the API server would make it. Quotas count those before it; which nodes these will be on is not
    known.
    """
    said: list[str] = []
    more: list[tuple[_api.Object, int]] = []
    created: Counter[str] = Counter()
    for manifest in items:
        metadata = manifest.get("metadata") or {}
        if (manifest.get("kind"), manifest.get("apiVersion")) != ("Deployment", "apps/v1") or not metadata.get("name"):
            continue
        place = Place("Deployment", metadata.get("namespace") or namespace, metadata["name"])

        def then(scene: Scene, where: str = place.namespace) -> Scene:
            return after(scene, more, created) if where == namespace else scene

        try:
            live = _place.there(api, place)
            made = api.tried(place.path, manifest)
            room = _room(api, place, live, made, then)
        except _api.ApiError as error:
            if error.status == 404:
                continue  # its namespace is one of the manifests, and has neither quotas nor pods yet
            if error.status != 403:
                raise
            said += _update.room_hints(None)
            break
        if room is None:
            continue
        replicas = made["spec"].get("replicas", 1)
        if room.missing is not None:
            raise Failure(
                f"Nothing was applied, as there is no room for {place} with its {replicas} pods: {room.message}. Make "
                "room, or describe fewer replicas or smaller requests, and run again."
            )
        said += _update.room_hints(room.unjudged)
        if more:
            said.append("room on nodes was judged for each Deployment by itself, not for all of them together")
        more.append((made["spec"]["template"], max(0, replicas - (live["spec"].get("replicas", 1) if live else 0))))
        created.update({} if live else CREATED)
    return list(dict.fromkeys(said))


def _room(
    api: _api.Api, place: Place, live: _api.Object | None, made: _api.Object, then: _capacity.Then
) -> Room | None:
    """The room for what a Deployment becomes, None where it needs none. Raises ApiError with 403 where this user may
    not see what decides."""
    namespace, replicas, template = place.namespace, made["spec"].get("replicas", 1), made["spec"]["template"]
    if not replicas:
        return None
    if live is None:
        return _capacity.found(api, namespace, replicas, template, None, CREATED, then=then)
    if _workloads.bare(template) == _workloads.bare(live["spec"]["template"]):
        more = replicas > live["spec"].get("replicas", 1)
        return _capacity.found(api, namespace, replicas, template, live, then=then) if more else None
    replica_sets, _pods = _place.around(api, place, live)
    known = [revision.template for revision in _workloads.revisions(live, replica_sets)]
    new = _workloads.bare(template) not in known
    room = _capacity.for_update(api, namespace, made, template, new=new, then=then)
    return room or Room(replicas, 0, None, None, ("nodes and pods of the cluster, which this user may not list",))
