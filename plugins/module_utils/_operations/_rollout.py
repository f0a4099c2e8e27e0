# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin rollout do."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils import _api, _rollout
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._mirror import Mirror

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str", "default": "default"},
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["complete"], "default": "complete"},
    "timeout": {"type": "int", "default": 600},
}

LOG_LINES = 10


def run(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Watch until the rollout is complete. Raises Failure as soon as it cannot be any more, or in the end."""
    namespace, name, timeout = options["namespace"], options["name"], options["timeout"]
    if timeout < 1:
        raise Failure(f"timeout is {timeout}; it must be at least 1 second.")
    api = _api.api(options)
    start = time.monotonic()
    try:
        deployment = api.get(_api.path_of("deployments", namespace, name, group="apps"))
    except _api.ApiError as error:
        if error.status == 404:
            raise Failure(f"There is no Deployment {name} in namespace {namespace}.") from error
        raise
    waits_for = _rollout.progress(deployment)
    if waits_for is None:
        return _result(deployment, start)
    chosen = {
        "labelSelector": ",".join(
            f"{k}={v}" for k, v in (deployment["spec"]["selector"].get("matchLabels") or {}).items()
        )
    }
    mirror = Mirror(
        api.access,
        {
            "deployments": (
                _api.path_of("deployments", namespace, group="apps"),
                {"fieldSelector": f"metadata.name={name}"},
            ),
            "replica_sets": (_api.path_of("replicasets", namespace, group="apps"), chosen),
            "pods": (_api.path_of("pods", namespace), chosen),
        },
        timeout,
    )
    replica_sets: list[_api.Object] = []
    pods: list[_api.Object] = []
    try:
        while mirror.wait():
            found = list(mirror.objects["deployments"].values())
            if not found:
                raise Failure(f"Deployment {name} was deleted while its rollout was waited for.")
            deployment = found[0]
            replica_sets, pods = (
                list(mirror.objects["replica_sets"].values()),
                list(mirror.objects["pods"].values()),
            )
            waits_for = _rollout.progress(deployment)
            if waits_for is None:
                return _result(deployment, start)
            fault = _rollout.fault(deployment, replica_sets, pods)
            if fault:
                raise _failed(api, deployment, fault, start)
    finally:
        mirror.close()
    late = _rollout.waiting_pod(deployment, replica_sets, pods)
    raise _failed(
        api,
        deployment,
        _rollout.Fault(
            "Timeout", f"{waits_for} after {timeout} s", pod=late["metadata"]["name"] if late else None
        ),
        start,
    )


def _result(deployment: _api.Object, start: float) -> dict[str, t.Any]:
    name, status = deployment["metadata"]["name"], deployment.get("status", {})
    counted = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    replicas = {
        "wanted": deployment["spec"].get("replicas", 1),
        **{key: status.get(key, 0) for key in counted},
    }
    return {
        "changed": False,
        "status": "complete",
        "revision": int(deployment["metadata"].get("annotations", {}).get(_rollout.REVISION, 0)),
        "replicas": replicas,
        "duration": round(time.monotonic() - start, 3),
        "message": f"Deployment {name} is complete, {replicas['availableReplicas']} copies are available.",
    }


def _failed(api: _api.Api, deployment: _api.Object, fault: _rollout.Fault, start: float) -> Failure:
    log = _last_words(api, deployment["metadata"]["namespace"], fault)
    said = f"Deployment {deployment['metadata']['name']} did not become complete: {fault}"
    if log:
        said += f"\nThe last lines of its log:\n{log}"
    facts = _result(deployment, start)
    facts.update(
        status="failed",
        message=said,
        failure={
            "pod": fault.pod,
            "container": fault.container,
            "reason": fault.reason,
            "message": fault.message,
            "log": log,
        },
    )
    return Failure(said, **facts)


def _last_words(api: _api.Api, namespace: str, fault: _rollout.Fault) -> str:
    if not fault.pod:
        return ""
    path = _api.path_of("pods", namespace, fault.pod) + "/log"
    query: dict[str, t.Any] = {"tailLines": LOG_LINES}
    if fault.container:
        query["container"] = fault.container
    if fault.restarted:
        query["previous"] = "true"
    try:
        return api.request(path, query).decode(errors="replace").strip()
    except _api.ApiError:
        return ""  # a container that never ran has said nothing
