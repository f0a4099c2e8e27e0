# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin canary_info do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _shapes
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _namespace

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "service": {"type": "str"},
    "version": {"type": "str"},
    "steps": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"weight": {"type": "float", "required": True}, "pause": {"type": "str", "default": "0"}},
    },
    "weight_tolerance": {"type": "float", "default": 5.0},
    "promote": {"type": "bool", "default": False},
    "abort": {"type": "bool", "default": False},
    "container": {"type": "str"},
    "template": {"type": "dict"},
    "version_of": _images.RULE_OPTION,
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Read what an application has in the cluster once, and say what is left to do. Raises Failure."""
    asked = _canary.Asked(
        version=options["version"] or "",
        steps=options["steps"],
        promote=options["promote"],
        abort=options["abort"],
        tolerance=options["weight_tolerance"],
        container=options["container"] or "",
        template=options["template"],
        rule=_images.rule(options["version_of"]),
    )
    _canary.weights(asked.steps)  # before the cluster is asked
    if asked.template and (why := _shapes.unfit(asked.template, _shapes.given_template)):
        raise Failure(f"template {why}; give it as a Deployment has it in spec.template.")
    api = _api.api(options, task.environ)
    try:
        return {"changed": False, **_canary.plan(_seen(api, options), asked)}
    finally:
        api.close()


def _seen(api: _api.Api, options: t.Mapping[str, t.Any]) -> _canary.Seen:
    namespace, name = options["namespace"], options["name"]
    deployments = api.items(_api.path_of("deployments", namespace, group="apps"))
    named = {item["metadata"]["name"]: item for item in deployments}
    if name not in named:
        raise Failure(_missing(api, namespace, name, named))
    stable = named[name]
    service = _canary.service_of(api.items(_api.path_of("services", namespace)), stable, options["service"] or "")
    selected = ",".join(f"{key}={value}" for key, value in (service["spec"].get("selector") or {}).items())
    of_service = f"kubernetes.io/service-name={service['metadata']['name']}"
    return _canary.Seen(
        stable=stable,
        canary=named.get(f"{name}-canary"),
        service=service,
        deployments=deployments,
        replica_sets=api.items(_api.path_of("replicasets", namespace, group="apps")),
        pods=api.items(_api.path_of("pods", namespace), labelSelector=selected),
        slices=api.items(_api.path_of("endpointslices", namespace, group="discovery.k8s.io"), labelSelector=of_service),
        scalers=_namespace.autoscalers(api, namespace),
    )


def _missing(api: _api.Api, namespace: str, name: str, named: t.Mapping[str, t.Any]) -> str:
    """Why there is no stable Deployment, and what helps."""
    try:
        api.get(_api.path_of("namespaces", None, namespace))
    except _api.ApiError as error:
        if error.status == 404:
            return f"There is no namespace {namespace}; create it and deploy {name} there first."
        if error.status != 403:  # who may not see namespaces is told of the Deployment
            raise
    if f"{name}-canary" in named:
        return (
            f"There is no stable Deployment {name} in namespace {namespace} beside its canary {name}-canary; "
            f"deploy {name} first."
        )
    return f"There is no Deployment {name} in namespace {namespace} for a canary to stand beside; deploy it first."
