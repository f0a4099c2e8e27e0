# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin scale do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _scale
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _place, _rollout

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "replicas": {"type": "str", "required": True},
    "current_replicas": {"type": "int"},
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Give a Deployment as many replicas as are asked for, where nobody else decides on that. Raises Failure."""
    api = _api.api(options, task.environ)
    place = _place.Place("Deployment", api.namespace(options), options["name"])
    try:
        deployment = _place.found(api, place)
        if deployment["spec"].get("paused") and _rollout.progress(deployment):
            raise Failure(
                f"{place} is paused in the middle of a rollout; resume it first, with kubectl rollout resume "
                f"deployment/{place.name}, and scale it then."
            )
        there, expected = deployment["spec"].get("replicas", 1), options["current_replicas"]
        wanted = _scale.target(place.name, there if expected is None else expected, options["replicas"])
        owner = _scale.autoscaler(place.name, _autoscalers(api, place.namespace))
        result = {"changed": False, "before": there, "after": there, "autoscaler": owner}
        if owner:
            return {**result, "message": _left_alone(place, owner, there)}
        if expected is not None and there not in (expected, wanted):
            raise Failure(_scaled_meanwhile(place, expected, there))

        def plan(workload: _api.Object) -> list[_api.Object]:
            now = workload["spec"].get("replicas", 1)
            if now == wanted:
                return []
            if now != there:
                raise Failure(_scaled_meanwhile(place, there, now))
            return [{"op": "add", "path": "/spec/replicas", "value": wanted}]

        after = _place.changed(api, place, deployment, plan, dry_run=task.check_mode)
    finally:
        api.close()
    said = f"has {there} replicas" if there == wanted else f"is scaled from {there} to {wanted} replicas"
    return {**result, **_place.difference(deployment, after), "after": wanted, "message": f"{place} {said}."}


def _autoscalers(api: _api.Api, namespace: str) -> list[_api.Object]:
    try:
        path = _api.path_of("horizontalpodautoscalers", namespace, group="autoscaling")
        return api.items(path.replace("/v1/", "/v2/", 1))
    except _api.ApiError as error:
        if error.status == 404:  # a cluster without this API has none
            return []
        raise


def _left_alone(place: _place.Place, owner: _api.Object, there: int) -> str:
    limits = f"{owner['min_replicas']} to {owner['max_replicas']}"
    return (
        f"{place} keeps its {there} replicas: HorizontalPodAutoscaler {owner['name']} decides on them, from {limits}; "
        f"change its minReplicas and maxReplicas, or delete it."
    )


def _scaled_meanwhile(place: _place.Place, before: int, now: int) -> str:
    return f"{place} was scaled from {before} to {now} replicas by somebody else meanwhile; look at it and run again."
