# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin capacity do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _shapes
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _capacity, _namespace, _quotas

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str"},
    "template": {"type": "dict"},
    "replicas": {"type": "int", "required": True},
    "deployment": {"type": "str"},
    "objects": {"type": "dict", "default": {}},
}


Then = t.Callable[[_capacity.Scene], _capacity.Scene]


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Read nodes, pods and quotas, and say whether the replicas fit. Raises Failure."""
    replicas, template = options["replicas"], options["template"]
    if replicas < 0:
        raise Failure(f"replicas is {replicas}; it must not be negative.")
    if template is None and not options["deployment"]:
        raise Failure("Set template, the pods to find room for, or deployment, the Deployment that has it.")
    _shapes.check_template(template or {})
    api = _api.api(options, task.environ)
    try:
        deployment = _deployment(api, options["namespace"], options["deployment"])
        if template is None:
            if deployment is None:
                raise Failure(
                    f"There is no Deployment {options['deployment']} in namespace {options['namespace']} "
                    f"to take the template from; set template."
                )
            template = deployment["spec"]["template"]
        room = found(api, options["namespace"], replicas, template, deployment, options["objects"])
    finally:
        api.close()
    return {
        "changed": False,
        "fits": room.missing is None,
        "replicas": room.replicas,
        "room": room.most,
        "limited_by": room.limited_by,
        "unjudged": list(room.unjudged),
        "message": room.message,
        "msg": room.message,
    }


def found(
    api: _api.Api,
    namespace: str,
    replicas: int,
    template: _api.Object,
    deployment: _api.Object | None,
    objects: t.Mapping[str, int] | None = None,
    then: Then = lambda scene: scene,
) -> _capacity.Room:
    """What room there is for replicas of a template; those that the Deployment has need none. Raises Failure.

    `objects` are what else is to be created, by resource, `then` says what will have happened before.
    """
    scene = _scene(api, namespace, template)
    try:
        scene = then(scene)
        own = _capacity.own(deployment, scene.pods) if deployment else []
        placed = sum(bool(pod["spec"].get("nodeName")) for pod in own)
        return _capacity.room(
            _capacity.hashed(template, deployment, own),
            max(0, replicas - placed),
            scene,
            admitted=len(own) - placed,
            objects=objects,
        )
    except ValueError as error:
        raise Failure(f"The template's resources cannot be read: {error}.") from error


def for_update(
    api: _api.Api,
    namespace: str,
    deployment: _api.Object,
    template: _api.Object,
    *,
    new: bool,
    then: Then = lambda scene: scene,
) -> _capacity.Room | None:
    """Whether the pods of a Deployment can be replaced by those of another template. Raises Failure.

    None where this user may not see nodes and pods, so that nobody can tell. `new` is whether it is a template of which
    there is no ReplicaSet yet.
    """
    try:
        scene = _scene(api, namespace, template)
    except _api.ApiError as error:
        if error.status == 403:
            return None
        raise
    try:
        objects = {"replicasets.apps": 1} if new else {}
        return _capacity.update_room(deployment, _capacity.hashed(template, None, []), then(scene), objects)
    except ValueError as error:
        raise Failure(f"The template's resources cannot be read: {error}.") from error


def _scene(api: _api.Api, namespace: str, template: _api.Object) -> _capacity.Scene:
    """What decides whether pods of a template are admitted and placed. Raises ApiError."""
    quotas = api.items(_api.path_of("resourcequotas", namespace))
    runtime = (template.get("spec") or {}).get("runtimeClassName")
    by_priority = any(_quotas.is_of_priority(item) for item in quotas)
    return _capacity.Scene(
        namespace=namespace,
        nodes=api.items(_api.path_of("nodes")),
        pods=api.items(_api.path_of("pods"), fieldSelector="status.phase!=Succeeded,status.phase!=Failed"),
        quotas=quotas,
        limit_ranges=_namespace.optional(api, "limitranges", namespace),
        priority_classes=_namespace.optional(api, "priorityclasses", None, "scheduling.k8s.io") if by_priority else (),
        runtime_classes=_namespace.optional(api, "runtimeclasses", None, "node.k8s.io") if runtime else (),
    )


def _deployment(api: _api.Api, namespace: str, name: str | None) -> _api.Object | None:
    if not name:
        return None
    try:
        return api.get(_api.path_of("deployments", namespace, name, group="apps"))
    except _api.ApiError as error:
        if error.status == 404:
            return None
        raise
