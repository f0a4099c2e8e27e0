# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin capacity do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _shapes
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _capacity, _namespace

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str"},
    "template": {"type": "dict"},
    "replicas": {"type": "int", "required": True},
    "deployment": {"type": "str"},
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Read nodes, pods and quotas, and say whether the replicas fit. Raises Failure."""
    replicas, template = options["replicas"], options["template"]
    if replicas < 0:
        raise Failure(f"replicas is {replicas}; it must not be negative.")
    if template is None and not options["deployment"]:
        raise Failure("Give template, the pods to find room for, or deployment, the one that has it.")
    _shapes.check_template(template or {})
    api = _api.api(options, task.environ)
    try:
        deployment = _deployment(api, options["namespace"], options["deployment"])
        if template is None:
            if deployment is None:
                raise Failure(
                    f"There is no Deployment {options['deployment']} in namespace {options['namespace']} "
                    f"to take the template from; give template."
                )
            template = deployment["spec"]["template"]
        room = found(api, options["namespace"], replicas, template, deployment)
    finally:
        api.close()
    return {
        "changed": False,
        "fits": room.missing is None,
        "copies": room.copies,
        "room": room.most,
        "limited_by": room.limited_by,
        "message": room.message,
        "msg": room.message,
    }


def found(
    api: _api.Api, namespace: str, replicas: int, template: _api.Object, deployment: _api.Object | None
) -> _capacity.Room:
    """What room there is for replicas of a template; those that the Deployment has need none. Raises Failure."""
    pods = api.items(_api.path_of("pods"), fieldSelector="status.phase!=Succeeded,status.phase!=Failed")
    placed = _capacity.placed(deployment, pods) if deployment else 0
    try:
        return _capacity.room(
            template.get("spec") or {},
            max(0, replicas - placed),
            api.items(_api.path_of("nodes")),
            pods,
            api.items(_api.path_of("resourcequotas", namespace)),
            _namespace.optional(api, "limitranges", namespace),
        )
    except ValueError as error:
        raise Failure(f"The template's resources cannot be read: {error}.") from error


def _deployment(api: _api.Api, namespace: str, name: str | None) -> _api.Object | None:
    if not name:
        return None
    try:
        return api.get(_api.path_of("deployments", namespace, name, group="apps"))
    except _api.ApiError as error:
        if error.status == 404:
            return None
        raise
